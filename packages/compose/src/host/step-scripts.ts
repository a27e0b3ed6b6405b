import { path, runners } from './fragments.ts';

/**
 * The scripts of a step: a command that outlives the connection. Its directory `<project>/.lockkeeper/steps/<id>/`
 * holds `run` (see `runners`), `output` (stdout and stderr as they came) and, once it ended, `exit`.
 */

/**
 * Runs a command once, however often it is started, and writes down how it ended. $1 the record's directory, $2 the
 * token of the lock, $3 the step's directory, $4 seconds, $5 the command's script, $6… its arguments. Exit code
 * \`fenced\`: it was not run, the lock is another run's, or it was stopped before it began.
 */
export const runner = `
umask 077
${runners}
state=$1 token=$2 step=$3 limit=$4 script=$5
shift 5
# A signal is for the command; how that ended is still to be written down.
trap : HUP INT TERM
# Room for the exit code while there is some: the command may fill the disk.
echo '-       ' >"$step/exit.$$"
start_of "$$"
echo "$$ $boot $started $(($(date +%s) + limit))" >"$step/run.$$"
# The first to link it runs the command; after that nobody does.
ln "$step/run.$$" "$step/run" 2>/dev/null || exit 0
LOCKKEEPER_STEP=\${step##*/}
export LOCKKEEPER_STEP
code=fenced
if ! [ -e "$step/stopped" ] && [ "$(head -n 1 "$state/lock" 2>/dev/null)" = "$token" ]; then
  sh -euc "$script" lockkeeper "$@" && code=0 || code=$?
fi
printf '%-8s\\n' "$code" 1<>"$step/exit.$$"
mv -f "$step/exit.$$" "$step/exit"
`;

/**
 * Starts step $3 unless it was started, and prints its output from byte $4 (from 0) on until it ended. Only the last
 * line of stderr is told by us: \`ended <exit code>\`, \`gone\` when the runner is gone and left no code, \`restarted\`
 * when the host did so since. $1 project, $2 token, $5 \`runner\`, $6… its arguments from $4 on.
 */
export const followStep = `${path}${runners}
state=$1/.lockkeeper token=$2 step=$1/.lockkeeper/steps/$3 from=$4 runner=$5
shift 5
if ! [ -e "$step/run" ]; then
  # A run has one step after another: those before this one were read to their end.
  for old in "$state/steps/$token".*; do
    if [ "$old" != "$step" ] && ! [ -e "$old/stopped" ] && ! lives "$old"; then rm -rf "$old"; fi
  done
  mkdir -p "$step"
  session=$(command -v setsid || command -v nohup)
  "$session" sh -euc "$runner" lockkeeper "$state" "$token" "$step" "$@" </dev/null >>"$step/output" 2>&1 &
  until [ -e "$step/run" ]; do
    if ! kill -0 "$!" 2>/dev/null && ! [ -e "$step/run" ]; then cat "$step/output" >&2; exit 1; fi
    nap 0.02
  done
fi
exec 3<"$step/output"
if [ "$from" -gt 0 ]; then tail -c "+$((from + 1))" <&3; fi
n=0
while :; do
  # Asked before the rest is read: what was printed before the end is there.
  if [ -e "$step/exit" ]; then end=ended
  elif lives "$step"; then end=
  elif [ -e "$step/exit" ]; then end=ended
  elif [ "$born" = "$boot" ]; then end=gone
  else end=restarted
  fi
  cat <&3
  if [ "$end" = ended ]; then read -r code <"$step/exit"; echo "ended $code" >&2; exit 0; fi
  if [ -n "$end" ]; then echo "$end" >&2; exit 0; fi
  n=$((n + 1))
  if [ "$n" -lt 60 ]; then nap 0.05; else nap 0.25; fi
done
`;

/**
 * The same in the connection, and only as long as that lasts: stdout and stderr are the command's own, and so is the
 * exit code. $1 project, $2 token, $3 step, $4 \`runner\`, $5… its arguments from $4 on. 69: the lock is another run's.
 */
export const attachStep = `${path}
state=$1/.lockkeeper token=$2 step=$1/.lockkeeper/steps/$3 runner=$4
shift 4
mkdir -p "$step"
session=$(command -v setsid || command -v nohup)
"$session" sh -euc "$runner" lockkeeper "$state" "$token" "$step" "$@" </dev/null
if ! [ -e "$step/exit" ]; then echo 'the command was killed and left no exit code' >&2; exit 1; fi
read -r code <"$step/exit"
if [ "$code" = fenced ]; then echo 'another run took the lock over' >&2; exit 69; fi
exit "$code"
`;

/** Prints \`alive\` while a step whose id begins with $2 lives, or a container of it. */
export const askSteps = `${path}${runners}
for step in "$1/.lockkeeper/steps/$2"*; do
  [ -d "$step" ] || continue
  if lives "$step"; then echo alive
  elif ! [ -e "$step/exit" ] && [ -n "$(containers_of "$step")" ]; then echo alive
  fi
done
`;

/** Ends the steps whose ids begin with $2, and what they started: within $3 tenths of a second, or by force. Prints \`alive\` if one lives on. */
export const stopSteps = `${path}${runners}
prefix=$1/.lockkeeper/steps/$2 grace=$3
one_lives() {
  for step in "$prefix"*; do if lives "$step"; then return 0; fi; done
  return 1
}
groups=
for step in "$prefix"*; do
  if lives "$step"; then groups="$groups $pid"; signal TERM "$pid"; fi
done
n=0
while [ "$n" -lt "$grace" ] && one_lives; do nap 0.1; n=$((n + 1)); done
for pid in $groups; do signal KILL "$pid"; done
for step in "$prefix"*; do if [ -d "$step" ]; then kill_containers_of "$step"; fi; done
n=0
while one_lives; do
  if [ "$n" -ge 10 ]; then echo alive; break; fi
  nap 0.1
  n=$((n + 1))
done
`;

/** The same for the one step $2, which is not to begin any more either: its start may still be on its way. */
export const stopStep = `
umask 077
{ mkdir -p "$1/.lockkeeper/steps/$2" && : >"$1/.lockkeeper/steps/$2/stopped"; } 2>/dev/null || true
${stopSteps}`;
