#!/bin/bash
# reflect doctor: what it finds, what it says to do, and its exit status.
. "$(dirname "$0")/lib.sh"
reflect=$(dirname "$REFLECTD")/reflect
unset REFLECT_API_KEY REFLECT_PROFILE REFLECTD_DATA
export XDG_CONFIG_HOME=$work/none
run() { timeout 60 "$reflect" "$@" > "$work/said" 2> "$work/told"; code=$?; said=$(< "$work/said") told=$(< "$work/told"); }
# A build with a sanitizer leaves its workers more than they need: that is a fault, and doctor is to say so.
well=0 healthy=true holds='ok +sandbox +([0-9]+) of \1|ok +sandbox +[0-9]+ of [0-9]+ escapes'
instrumented && { well=1 healthy=false holds='fail +sandbox +'; }
mkdir -p "$work/models/broken" && echo '{}' > "$work/models/broken/config.json"
start; export REFLECT_URL=$url
call GET /v1/models/tiny; call GET /v1/models/broken
upload train.jsonl

run doctor --data "$work/data"; is "$code $told" "$well " "a server that works"
like "$said" $'\nok +kernels +[a-z0-9_]+: ' "which kernels"; like "$said" '(ok|warn) +cores +[0-9]+ ' "cores"
like "$said" '(ok|warn) +memory +[0-9.]+ [GM]B available' "memory"; like "$said" '(ok|warn) +files +[0-9]+ may' "open files"
like "$said" 'ok +layers +.*landlock' "layers of the sandbox"; like "$said" "$holds" "which hold"
like "$said" '(ok|warn) +disk +[0-9.]+ [GM]B free for ' "room on the disk"; like "$said" 'ok +data +.*: 0 faults' "the data folder is sound"
like "$said" "ok +server +reflectd [0-9.]+ at $url" "the server and its version"; like "$said" 'ok +ready ' "which takes jobs"
like "$said" 'ok +key +none is needed: scope admin, tenant default' "whom it takes us for"
like "$said" 'warn +models +broken: .*gpt9' "a model that cannot be used, with the reason"
like "$said" 'ok +models +1 that jobs can use' "and one that can"
run doctor --json; is "$code" "$well" "as JSON"; like "$said" '"check": "data",[^}]*"status": "skipped"' "what was not looked at is no fault"
like "$said" "\"healthy\": $healthy" "the verdict"

mkdir "$work/alone"; cp "$reflect" "$work/alone/"
timeout 20 "$work/alone/reflect" doctor > "$work/said"; is "$?" 0 "the client alone"
like "$(< "$work/said")" 'skipped +host ' "says that the rest is elsewhere"
rm "$work/data/files/$file"; run doctor --data "$work/data"; is "$code" 1 "a file that is gone"
like "$said" "fail +data +.*$file" "is named"
run doctor --data "$work/alone"; is "$code" 1 "no data folder"; like "$said" 'fail +data +.*reflectd.db' "is called none"
rm -r "$work/models/tiny" "$work/models/broken"; run doctor; is "$code" 1 "no model"; like "$said" 'fail +models ' "is a fault"
mv "$work/models" "$work/away"; run doctor; like "$said" 'fail +ready +.*models folder' "a host that lacks something"; mv "$work/away" "$work/models"
stop
run doctor; is "$code" 1 "no server"; like "$said" 'fail +server +no server at .*-> start reflectd' "and what to do"

mkdir -p "$work/models/tiny" && echo '{}' > "$work/models/tiny/config.json"
"$REFLECTD" keys create --name reader --scope read --data "$work/data" > "$work/key" 2>/dev/null
start; export REFLECT_URL=$url
run doctor; is "$code" 1 "without the key"; like "$said" 'fail +key .*-> ask who runs the server' "it says whom to ask"
REFLECT_API_KEY=$(grep -o 'rfd[-_a-zA-Z0-9]*\|sk[-_a-zA-Z0-9]*' "$work/key" | tail -1) run doctor
is "$code" "$well" "a key that may only look"; like "$said" 'warn +key +valid, [^ ]+: scope read, tenant default' "is told with its scope"
stop
finish
