import { path, runners, tell } from './fragments.ts';

/** Makes the record's directory, kept out of git's sight. 67: it is a symbolic link. */
const prepare = `${path}
state=$1/.lockkeeper
[ -L "$state" ] && exit 67
mkdir -p "$state/releases" "$state/bad" "$state/steps"
chmod 700 "$state"
[ -f "$state/.gitignore" ] || echo '*' >"$state/.gitignore"
`;

/**
 * Takes the lock for token $2; stdin is who we are. Prints `taken` and what the record says, or \`held\` with the
 * seconds since the owner's last sign of life, whether a step of another run lives, whether the lock is ours (and only
 * that step is waited for), and who the owner is. It is taken over only when it is older than $3 seconds and no step
 * of its owner lives. A step that should have ended long ago is ended: nobody is there any more who would.
 */
export const takeLock = `${prepare}${tell}${runners}
dir=$1 token=$2 ttl=$3
owner=$(cat)
now=$(date +%s)
printf '%s\\n%s\\n' "$token" "$owner" >"$state/lock.$token"
echo "$now" >"$state/beat.$token"
look_at_others() {
  alive=no
  for step in "$state"/steps/*; do
    case \${step##*/} in "$token".* | '*') continue ;; esac
    running=no
    if lives "$step"; then running=yes
    elif [ -e "$step/exit" ] || [ -z "$(containers_of "$step")" ]; then continue
    fi
    alive=yes
    if [ "$running" = yes ] && [ "$now" -gt "$limit" ]; then signal TERM "$pid"; fi
    if [ "$now" -gt "$((limit + 15))" ]; then
      if [ "$running" = yes ]; then signal KILL "$pid"; fi
      kill_containers_of "$step"
    fi
  done
}
mine=no age=0 over=
if ln "$state/lock.$token" "$state/lock" 2>/dev/null; then mine=yes; fi
holder=$(head -n 1 "$state/lock" 2>/dev/null || true)
if [ "$holder" = "$token" ]; then mine=yes; fi
look_at_others
if [ "$mine" = no ]; then
  beat=$(cat "$state/beat.$holder" 2>/dev/null || echo 0)
  age=$((now - beat))
  if [ "$alive" = no ] && [ "$age" -gt "$ttl" ] && mkdir "$state/takeover.$holder.$((now / 60))" 2>/dev/null; then
    mv -f "$state/lock.$token" "$state/lock"
    rm -rf "$state/takeover.$holder".* "$state/beat.$holder"
    if [ "$(head -n 1 "$state/lock")" = "$token" ]; then mine=yes over=' over'; fi
    # A step starts only while its lock is held: one that saw the lock just before is seen now.
    look_at_others
  fi
fi
rm -f "$state/lock.$token"
if [ "$mine" = yes ] && [ "$alive" = no ]; then
  for left in "$state"/steps/* "$state"/docker-config.* "$state"/run.*; do
    case $left in "$state/steps/$token".* | "$state/docker-config.$token" | "$state/run.$token") ;; *) rm -rf "$left" ;; esac
  done
  echo "taken$over"
  tell "$dir"
  exit 0
fi
if [ "$mine" = no ]; then rm -f "$state/beat.$token"; fi
echo "held $age $alive $mine"
tail -n +2 "$state/lock" 2>/dev/null || true
`;

/** A sign of life for token $2. 69: the lock is somebody else's now. */
export const beatLock = `
state=$1/.lockkeeper
[ "$(head -n 1 "$state/lock" 2>/dev/null)" = "$2" ] || exit 69
date +%s >"$state/beat.$2"
`;

/** Gives the lock of token $2 back, and what that run left lying. Does nothing to somebody else's, nor to a step that lives. */
export const releaseLock = `${runners}
state=$1/.lockkeeper
for step in "$state/steps/$2".*; do if ! lives "$step"; then rm -rf "$step"; fi; done
rm -rf "$state/docker-config.$2" "$state/run.$2" "$state/beat.$2" "$state/lock.$2"
if [ "$(head -n 1 "$state/lock" 2>/dev/null)" = "$2" ]; then rm -f "$state/lock"; fi
`;
