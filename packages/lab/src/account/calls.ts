import { type Query, type ServiceName, serviceOfVersion } from './query.ts';

/** One request as the account saw it, in the order of arrival. */
export interface Call {
  /** Lab time in ms. */
  at: number;
  service: ServiceName | 'unknown';
  action: string;
  /** The ARNs that permission was asked for; empty when the request did not come that far. */
  resources: string[];
  /** The caller's ARN; '' when it could not be told. */
  principal: string;
  /** `ok`, the error code that went out, or what became of the connection. */
  outcome: 'pending' | 'ok' | 'hung' | 'dropped' | 'response-lost' | (string & {});
  dryRun: boolean;
  /** The form fields as sent, the identity token left out. */
  params: Record<string, string>;
}

/** The record of a request that has just arrived. */
export function callFrom(query: Query, at: number): Call {
  const { Action = '', Version = '', ...params } = query.entries();
  if (params.WebIdentityToken !== undefined) params.WebIdentityToken = '(token)';
  return {
    at,
    service: serviceOfVersion(Version) ?? 'unknown',
    action: Action,
    resources: [],
    principal: '',
    outcome: 'pending',
    dryRun: query.boolean('DryRun'),
    params,
  };
}
