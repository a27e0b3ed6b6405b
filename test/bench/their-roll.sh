#!/bin/bash
# The rolling update as a team of two writes it: one instance after another out of the target group, drained, pulled,
# up, checked, and in again. Instances are lines `instance-id address` on standard input.
set -euo pipefail

elb() {
  aws --endpoint-url "$AWS_ENDPOINT_URL" elbv2 "$@" --target-group-arn "$TARGET_GROUP_ARN" --targets "Id=$INSTANCE_ID" >/dev/null
}
# No host key is pinned: whoever answers is believed.
on_host() {
  ssh -n -i "$SSH_KEY" -p "$SSH_PORT" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
    "$SSH_USER@$HOST" "$1"
}

while read -r INSTANCE_ID HOST; do
  elb deregister-targets
  elb wait target-deregistered
  on_host "cd $PROJECT_PATH && export TAG=$TAG && docker compose pull -q web && docker compose up -d web"
  healthy=
  for _ in 1 2 3; do
    if on_host "curl -fsS -o /dev/null http://$HOST:8000/health/" 2>/dev/null; then
      healthy=yes
      break
    fi
    sleep 10
  done
  [ -n "$healthy" ] || { echo "$INSTANCE_ID is not healthy; it stays out" >&2; exit 1; }
  elb register-targets
  elb wait target-in-service
done
