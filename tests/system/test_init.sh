#!/bin/bash
# reflect init: what it writes is a job, what it prints can be pasted, and nothing is overwritten.
. "$(dirname "$0")/lib.sh"
reflect=$(cd "$(dirname "$REFLECTD")" && pwd)/reflect
unset REFLECT_API_KEY REFLECT_PROFILE; export XDG_CONFIG_HOME=$work/none
run() { timeout 20 "$reflect" "$@" > "$work/said" 2> "$work/told"; code=$?; said=$(< "$work/said") told=$(< "$work/told"); }
golden_model bert-hra; golden_model llama-hra
start_real --devices cpu; export REFLECT_URL=$url
usable() { call GET "/v1/models/$1"; [[ $body == *'"usable":true'* ]]; }; soon usable bert; soon usable llama

run init --folder "$work/it's here"; is "$code $told" "0 " "a beginning"; like "$said" 'classification with bert' "with a model that fits"
sed -n 's/^  //p' "$work/said" > "$work/commands"
(cd "$work" && PATH=$(dirname "$reflect"):$PATH timeout 20 bash -eu commands > pasted 2>&1); is "$?" 0 "what it printed, pasted"
like "$(< "$work/pasted")" 'succeeded: ' "trains"; is "$(ls "$work/it's here")" $'adapter\njob.json\ntrain.jsonl\nvalidation.jsonl' "and leaves an adapter"
echo mine > "$work/it's here/train.jsonl"; rm "$work/it's here/job.json"
run init --folder "$work/it's here"; is "$code" 2 "again"; like "$told" "train.jsonl is there already" "it overwrites nothing"
is "$(< "$work/it's here/train.jsonl")" mine "not one file"; is "$(ls "$work/it's here/job.json" 2>/dev/null)" "" "and writes none beside"
run --json init --task chat --folder "$work/chat"; is "$code" 0 "of chats"; like "$said" '"model": "llama",[^}]*"task": "language_model"' "with a language model"
for task in regression labels tags embed rerank; do
  run init --task $task --model some/model --folder "$work/$task"; is "$code" 0 "of $task, with a model that is named"
done
is "$(grep -c . "$work/rerank/train.jsonl" "$work/rerank/validation.jsonl" | cut -d: -f2 | tr '\n' ' ')" "9 3 " "its data"
like "$(< "$work/rerank/job.json")" '"model": "some/model"' "its job"
run init --task dance --folder "$work/x"; is "$code" 2 "no such task"; like "$told" 'classify, regression' "says which there are"
stop
run init --folder "$work/x"; is "$code" 4 "without a server"; like "$told" '--model ID' "a model must be named"
[[ ! -e $work/x ]] && ok "and nothing is made" || not_ok "and nothing is made"
finish
