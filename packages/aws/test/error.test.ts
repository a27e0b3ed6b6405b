import { describe, expect, it } from '@jest/globals';
import { explainAwsError, readRefusal } from '../src/error.ts';

const aws = (name: string, message: string, more: object = {}) =>
  Object.assign(new Error(message), { name, ...more });
const call = { action: 'ec2:RevokeSecurityGroupIngress', resource: 'sg-1' };

describe('a failed call', () => {
  it('that was refused names principal, action and resource as AWS gives them', () => {
    const error = explainAwsError(
      aws(
        'UnauthorizedOperation',
        'You are not authorized to perform this operation. User: arn:aws:sts::1:assumed-role/deploy/x is not authorized to perform: ec2:DeleteTags on resource: arn:aws:ec2:r:1:security-group-rule/sgr-1 because no identity-based policy allows the ec2:DeleteTags action. Encoded authorization failure message: c2VjcmV0',
      ),
      call,
    );
    expect(error.message).toBe(
      'not allowed: ec2:DeleteTags on arn:aws:ec2:r:1:security-group-rule/sgr-1 for arn:aws:sts::1:assumed-role/deploy/x',
    );
    expect(error.next).toContain('allow ec2:DeleteTags');
  });

  it.each<[Error, RegExp]>([
    [
      aws('UnauthorizedOperation', 'You are not authorized to perform this operation.'),
      /^not allowed: ec2:RevokeSecurityGroupIngress on sg-1$/,
    ],
    [aws('AccessDenied', 'x with an explicit deny in a policy'), /an explicit deny/],
    [aws('ExpiredToken', 'x'), /have expired/],
    [aws('RequestExpired', 'x'), /have expired/],
    [aws('AuthFailure', 'x'), /does not accept these credentials/],
    [
      aws('CredentialsProviderError', 'Could not load credentials from any providers'),
      /no AWS credentials were found/,
    ],
    [aws('ThrottlingException', 'Rate exceeded'), /throttles ec2:RevokeSecurityGroupIngress/],
    [aws('RequestLimitExceeded', 'x'), /throttles/],
    [
      aws('Error', 'connect', { cause: aws('Error', 'getaddrinfo ENOTFOUND ec2.x', { code: 'ENOTFOUND' }) }),
      /could not be reached.*ENOTFOUND/,
    ],
    [aws('TimeoutError', 'no answer'), /could not be reached/],
    [aws('InternalError', 'oops'), /failed: InternalError: oops/],
  ])('of %s is told in words', (error, message) =>
    expect(explainAwsError(error, call).message).toMatch(message),
  );

  it('for a role names the subject that the trust policy must take', () => {
    const error = explainAwsError(aws('AccessDenied', 'Not authorized'), {
      action: 'sts:AssumeRoleWithWebIdentity',
      resource: 'arn:aws:iam::1:role/deploy',
      subject: 'repo:octo/app:ref:refs/heads/main',
    });
    expect(error.message).toContain("this job's subject is repo:octo/app:ref:refs/heads/main");
  });

  it('is explained once', () => {
    const once = explainAwsError(aws('ExpiredToken', 'x'), call);
    expect(explainAwsError(once, { action: 'other', resource: 'other' })).toBe(once);
  });

  it('reads refusals without a principal', () =>
    expect(readRefusal('denied')).toEqual({ principal: undefined, action: undefined, resource: undefined }));
});
