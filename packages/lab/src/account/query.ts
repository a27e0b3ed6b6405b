/**
 * The Query protocol of EC2, Elastic Load Balancing, Auto Scaling and STS: a form body comes in, XML goes out.
 * EC2 wraps lists in <item> and errors in <Response><Errors>; the others use <member> and <ErrorResponse>.
 */

export type ServiceName = 'ec2' | 'elasticloadbalancing' | 'autoscaling' | 'sts';

interface Service {
  name: ServiceName;
  version: string;
  namespace: string;
}

export const services: readonly Service[] = [
  { name: 'ec2', version: '2016-11-15', namespace: 'http://ec2.amazonaws.com/doc/2016-11-15/' },
  {
    name: 'elasticloadbalancing',
    version: '2015-12-01',
    namespace: 'http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/',
  },
  {
    name: 'autoscaling',
    version: '2011-01-01',
    namespace: 'http://autoscaling.amazonaws.com/doc/2011-01-01/',
  },
  { name: 'sts', version: '2011-06-15', namespace: 'https://sts.amazonaws.com/doc/2011-06-15/' },
];

/** The service that speaks this API version, as every request names it in `Version`. */
export function serviceOfVersion(version: string): ServiceName | undefined {
  return services.find((service) => service.version === version)?.name;
}

/** An answer of the account that is an error: the code on the wire and the HTTP status. */
export class AwsError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.name = code;
    this.code = code;
    this.status = status;
  }
}

/** The fields of one request, or of one structure nested in it. */
export class Query {
  readonly #fields: ReadonlyMap<string, string>;
  readonly #prefix: string;

  constructor(fields: ReadonlyMap<string, string>, prefix = '') {
    this.#fields = fields;
    this.#prefix = prefix;
  }

  /** Reads an application/x-www-form-urlencoded body. */
  static parse(body: string): Query {
    return new Query(new Map(new URLSearchParams(body)));
  }

  /** The value as sent; undefined when the field is absent, '' when it was sent empty. */
  text(name: string): string | undefined {
    return this.#fields.get(this.#prefix + name);
  }

  required(name: string): string {
    const value = this.text(name);
    if (value === undefined || value === '') {
      throw new AwsError('MissingParameter', `The request must contain the parameter ${this.#prefix}${name}`);
    }
    return value;
  }

  integer(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined || value === '') return undefined;
    if (!/^-?\d+$/.test(value)) {
      throw new AwsError('InvalidParameterValue', `Value (${value}) for parameter ${name} is invalid. `);
    }
    return Number(value);
  }

  boolean(name: string): boolean {
    return this.text(name) === 'true';
  }

  /** The structures of a list: `IpPermissions` for IpPermissions.1.…, `Targets.member` for Targets.member.1.…; by number. */
  list(name: string): Query[] {
    return this.#indexes(name).map((n) => new Query(this.#fields, `${this.#prefix}${name}.${n}.`));
  }

  /** The plain values of a list: `InstanceId` for InstanceId.1, `TargetGroupArns.member` for ….member.1; by number. */
  texts(name: string): string[] {
    return this.#indexes(name).map((n) => this.text(`${name}.${n}`) ?? '');
  }

  /** True when the field itself or anything below it was sent. */
  has(name: string): boolean {
    const full = this.#prefix + name;
    for (const key of this.#fields.keys()) if (key === full || key.startsWith(`${full}.`)) return true;
    return false;
  }

  entries(): Record<string, string> {
    return Object.fromEntries(this.#fields);
  }

  #indexes(name: string): number[] {
    const start = `${this.#prefix}${name}.`;
    const found = new Set<number>();
    for (const key of this.#fields.keys()) {
      if (!key.startsWith(start)) continue;
      const index = /^\d+/.exec(key.slice(start.length))?.[0];
      if (index !== undefined) found.add(Number(index));
    }
    return [...found].sort((a, b) => a - b);
  }
}

/** What an answer is made of; an array repeats its element, undefined leaves it out. */
export type Xml =
  | string
  | number
  | boolean
  | Date
  | undefined
  | readonly Xml[]
  | { readonly [name: string]: Xml };

/** Writes one element. Characters that XML 1.0 cannot hold are dropped. */
export function element(name: string, value: Xml): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return value.map((one) => element(name, one)).join('');
  return `<${name}>${content(value)}</${name}>`;
}

function content(value: Xml): string {
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'object') {
    return Object.entries(value)
      .map(([name, one]) => element(name, one as Xml))
      .join('');
  }
  return escapeXml(String(value));
}

function escapeXml(text: string): string {
  return text
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll('\r', '&#xD;');
}

/** The body of a successful answer, in the shape of the service. */
export function answerBody(serviceName: ServiceName, action: string, result: Xml, requestId: string): string {
  const { namespace } = services.find((service) => service.name === serviceName)!;
  const inner =
    serviceName === 'ec2'
      ? element('requestId', requestId) + content(result ?? {})
      : element(`${action}Result`, result ?? {}) + element('ResponseMetadata', { RequestId: requestId });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${action}Response xmlns="${namespace}">${inner}</${action}Response>`;
}

/** The body of a refusal, in the shape of the service. */
export function errorBody(serviceName: ServiceName, error: AwsError, requestId: string): string {
  const head = '<?xml version="1.0" encoding="UTF-8"?>\n';
  if (serviceName === 'ec2') {
    return (
      head +
      element('Response', {
        Errors: { Error: { Code: error.code, Message: error.message } },
        RequestID: requestId,
      })
    );
  }
  const { namespace } = services.find((service) => service.name === serviceName)!;
  const inner =
    element('Error', {
      Type: error.status >= 500 ? 'Receiver' : 'Sender',
      Code: error.code,
      Message: error.message,
    }) + element('RequestId', requestId);
  return `${head}<ErrorResponse xmlns="${namespace}">${inner}</ErrorResponse>`;
}
