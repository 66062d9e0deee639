# Shared by the system tests: a daemon of its own on a port the kernel chose, curl calls, TAP lines.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
REFLECTD=${REFLECTD:-${BUILD_DIR:-$root/build}/reflectd}
work=$(mktemp -d)
count=0 failures=0 pid=
mkdir -p "$work/models/tiny" && echo '{}' > "$work/models/tiny/config.json"

cleanup() { [[ -n $pid ]] && kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; rm -rf "$work"; }
trap cleanup EXIT

ok() { count=$((count + 1)); echo "ok $count - $1"; }
not_ok() { count=$((count + 1)); failures=$((failures + 1)); echo "not ok $count - $1"; shift; printf '# %s\n' "$@"; }
is() { [[ $1 == "$2" ]] && ok "$3" || not_ok "$3" "got:  ${1:0:400}" "want: ${2:0:400}"; }
like() { [[ $1 =~ $2 ]] && ok "$3" || not_ok "$3" "got:  ${1:0:400}" "want: $2"; }
unlike() { [[ $1 =~ $2 ]] && not_ok "$3" "got:  ${1:0:400}" "unwanted: $2" || ok "$3"; }
# soon COMMAND...: until it succeeds, ten seconds at most.
soon() { local n=200; until "$@"; do ((n-- > 0)) || return 1; sleep 0.05; done; }
# gone PATH TITLE: bytes are removed beside the loop, after the answer.
gone() { for _ in {1..100}; do [[ -e $1 ]] || { ok "$2"; return; }; sleep 0.05; done; not_ok "$2" "$1 is there"; }
alive() { local stat; stat=$(< "/proc/$1/stat") 2>/dev/null && [[ ! $stat =~ \)\ [ZX] ]]; } # a process that is no zombie
finish() { echo "1..$count"; exit $((failures > 0)); }

# The fake worker is a script, which starts programs: no sandbox lets it. Tests with the real one take `off` back.
export REFLECTD_SANDBOX=${REFLECTD_SANDBOX:-off}

# Is it a build with a sanitizer? Its workers need what the sandbox takes away.
instrumented() { [[ $("$(dirname "$REFLECTD")/reflect-sandbox" --probe) == *"instrumented build"* ]]; }

# start [OPTION...]: sets pid and url. The log is $work/log. The answer to an upload waits for its check, however busy the
# machine is.
start() {
  : > "$work/log"
  "$REFLECTD" --data "$work/data" --models "$work/models" --listen 127.0.0.1:0 --worker-path "$here/fake_worker" \
    --upload-check-wait-ms 15000 "$@" 2>> "$work/log" &
  pid=$!
  for _ in {1..200}; do
    if [[ $(< "$work/log") =~ listening\ on\ (127.0.0.1:([0-9]+)) ]]; then
      address=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]} url=http://$address
      return
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  not_ok "the daemon starts" "$(< "$work/log")"
  finish
}
# start_real [OPTION...]: with the real worker.
start_real() { start --worker-path "$(dirname "$REFLECTD")/reflect-worker" "$@"; }
# golden_model CASE [FOLDER]: the model of a golden case, with words of its own; else in the models folder, as bert of
# bert-hra.
golden_model() {
  local folder=${2:-$work/models/${1%%-*}}
  mkdir -p "$folder"; cp "$root/tests/golden/cases/$1/model/"* "$folder/"
  { printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n'; printf 'w%d\n' {0..93}; } > "$folder/vocab.txt"
}
# stop [SIGNAL]: sets code to the exit status.
stop() { kill -"${1:-TERM}" "$pid"; wait "$pid" 2>/dev/null; code=$?; pid=; }

# call METHOD PATH [CURL OPTION...]: sets status, headers and body.
call() {
  local method=$1 path=$2; shift 2; : > "$work/body"; : > "$work/headers"
  status=$(curl -sS --max-time 20 -X "$method" -o "$work/body" -D "$work/headers" -w '%{http_code}' "$url$path" "$@" 2> "$work/curl")
  body=$(tr -d '\0' < "$work/body" 2>/dev/null) headers=$(tr -d '\r' < "$work/headers" 2>/dev/null)
}
# value NAME: the first member of that name in $body.
value() { [[ $body =~ \"$1\":(\"([^\"]*)\"|[^,}\"]*) ]] && echo "${BASH_REMATCH[2]:-${BASH_REMATCH[1]}}"; }

# upload NAME [TEXT]: sets file to the id.
upload() {
  printf '%s\n' "${2:-{\"text\":\"good\",\"label\":\"a\"\}}" > "$work/$1"
  call POST /v1/files -F purpose=fine-tune -F "file=@$work/$1"
  file=$(value id)
}
# submit SUFFIX [MORE JSON MEMBERS]: sets job to the id.
submit() {
  call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' \
    -d "{\"model\":\"tiny\",\"training_file\":\"$file\",\"suffix\":\"$1\"${2:-}}"
  job=$(value id)
}
# await STATE [JOB [TENTHS]]: polls until the job has that state.
await() {
  local n=${3:-100}
  while ((n-- > 0)); do
    call GET "/v1/fine_tuning/jobs/${2:-$job}"
    [[ $body == *"\"status\":\"$1\""* ]] && return 0
    sleep 0.1
  done
  return 1
}
# step: how far the job in $body has come.
step() { [[ $body =~ \"progress\":\{[^}]*\"step\":([0-9]+) ]] && echo "${BASH_REMATCH[1]}" || echo 0; }
# reach STEP: polls until $job has come so far.
reach() {
  local n=300
  while ((n-- > 0)); do
    call GET "/v1/fine_tuning/jobs/$job"
    (($(step) >= $1)) && return 0
    sleep 0.04
  done
  return 1
}
# raw TEXT [SECONDS]: sends bytes as they are; sets reply to what came until the end or the time limit.
raw() {
  exec 9<> "/dev/tcp/127.0.0.1/$port" || { reply='(no connection)'; return; }
  printf '%b' "$1" 2>/dev/null >&9
  reply=$(timeout "${2:-2}" cat <&9 | tr -d '\0')
  exec 9>&-
}
