#!/bin/bash
# The deploy of a team of one server: pull and up over SSH, ten seconds of hope, one look.
set -euo pipefail

ssh -n -i "$SSH_KEY" -p "$SSH_PORT" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
  "$SSH_USER@$HOST" "cd $PROJECT_PATH && export TAG=$TAG && docker compose pull -q && docker compose up -d"
sleep 10
curl -fsS -o /dev/null "http://$HOST:8000/health/"
