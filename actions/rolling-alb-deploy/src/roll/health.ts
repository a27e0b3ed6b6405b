import type { TargetGroup, TargetHealth } from '@lockkeeper/aws';

/** What a target's state means for somebody who waits for it to be healthy. */
export type HealthVerdict =
  | { kind: 'healthy' }
  | { kind: 'waiting' }
  /** Not registered, or on its way out: a registration that did not take, or somebody took it out. */
  | { kind: 'missing' }
  /** No waiting helps. */
  | { kind: 'fatal'; cause: string };

/** Judges one place of a group. `undefined`: DescribeTargetHealth does not list it. */
export function judgeHealth(target: TargetHealth | undefined, group: TargetGroup): HealthVerdict {
  if (!target) return { kind: 'missing' };
  switch (target.state) {
    case 'healthy':
      return { kind: 'healthy' };
    case 'draining':
      return { kind: 'missing' };
    case 'unused':
      if (target.reason === 'Target.NotRegistered') return { kind: 'missing' };
      return { kind: 'fatal', cause: likelyCause(target, group) };
    case 'unavailable':
      return target.reason === 'Target.HealthCheckDisabled'
        ? { kind: 'fatal', cause: likelyCause(target, group) }
        : { kind: 'waiting' };
    default:
      return { kind: 'waiting' };
  }
}

/** `unhealthy (Target.ResponseCodeMismatch: Health checks failed with these codes: [502])` */
export function stateText(target: TargetHealth | undefined): string {
  if (!target) return 'not registered';
  const why = [target.reason, target.description].filter(Boolean).join(': ');
  const shifted = target.shifted ? ', but a zonal shift keeps traffic away from its zone' : '';
  return `${target.state}${why ? ` (${why})` : ''}${shifted}`;
}

/** What most likely is wrong with a target that is not healthy, and where to look. One sentence or two; '' when nothing is known. */
export function likelyCause(target: TargetHealth, group: TargetGroup): string {
  const check = `${group.healthCheck.path} on port ${group.healthCheck.port === 'traffic-port' ? target.port : group.healthCheck.port}`;
  switch (target.reason) {
    case 'Target.ResponseCodeMismatch':
      return codeCause(/\[([\d, ]+)\]/.exec(target.description)?.[1] ?? '', check, group.healthCheck.matcher);
    case 'Target.Timeout':
      return `The health check of ${check} got no answer within ${group.healthCheck.timeout / 1000} s: most often the instance's security group does not let the load balancer's security group in on that port; or the app is slower than the timeout.`;
    case 'Target.FailedHealthChecks':
      return `The connection for the health check of ${check} was refused or broken off: nothing listens on that port of the instance, the port is not published, or the app crashed while answering.`;
    case 'Target.NotInUse':
      return group.loadBalancers.length === 0
        ? `No load balancer uses the target group ${group.name}: add it to a listener rule.`
        : `The load balancer of ${group.name} is not enabled for the zone of ${target.id}: add a subnet of that zone to the load balancer.`;
    case 'Target.InvalidState':
      return `The instance ${target.id} is stopped or terminated: start it, or deregister it for good.`;
    case 'Target.IpUnusable':
      return `The address ${target.id} cannot be a target: it belongs to a load balancer.`;
    case 'Target.HealthCheckDisabled':
      return `Health checks are switched off for ${group.name}, so nothing can tell whether a target is healthy: switch them on.`;
    case 'Elb.InternalError':
      return 'The load balancer itself had an error; this usually passes.';
    default:
      return '';
  }
}

function codeCause(codes: string, check: string, matcher: string): string {
  const answered = `The health check of ${check} was answered with ${codes || 'another status'}, not ${matcher}`;
  const first = Number(codes.split(',')[0]);
  if (first === 400)
    return `${answered}: the check sends the target's own address as Host, so Django's ALLOWED_HOSTS (or the proxy's server_name) must accept it.`;
  if (first === 404)
    return `${answered}: the app does not have this path; compare the group's health check path with the app's.`;
  if (first === 301 || first === 302 || first === 307 || first === 308)
    return `${answered}: the app redirects, most often to HTTPS; exempt the health path from the redirect.`;
  if (first === 401 || first === 403)
    return `${answered}: the path asks for a login or the proxy forbids it; exempt it.`;
  if (first === 502 || first === 504)
    return `${answered}: the proxy on the host answers, but the app behind it does not.`;
  if (first === 503) return `${answered}: the app says of itself that it is not ready.`;
  if (first >= 500) return `${answered}: the app fails while answering; see its log.`;
  return `${answered}.`;
}
