#!/bin/bash
# The command line client as a user meets it: what it prints where, and its exit status.
. "$(dirname "$0")/lib.sh"
reflect=$(dirname "$REFLECTD")/reflect
mkdir -p "$work/models/broken" && echo '{}' > "$work/models/broken/config.json"
start
export REFLECT_URL=$url
unset REFLECT_API_KEY; export XDG_CONFIG_HOME=$work/none
# run ARGUMENT...: sets code, said (standard output) and told (standard error).
run() { timeout 20 "$reflect" "$@" > "$work/said" 2> "$work/told"; code=$?; said=$(< "$work/said") told=$(< "$work/told"); }
good='{"text":"good","label":"a"}'

echo "$good" > "$work/train.jsonl"
run files put "$work/train.jsonl"; is "$code $told" "0 " "a good file"; like "$said" '^file-[^ ]+$' "its id alone"; file=$said
echo "$good" > "$work/bad.jsonl"
run files put "$work/bad.jsonl"; is "$code $said" "1 " "a bad file gives no id to a script"
like "$told" 'bad.jsonl: .*line 3, column 17.*kept on the server as file-' "but why, and where it is kept"
run --json files put "$work/bad.jsonl"; is "$code" 1 "a bad file as JSON"; like "$said" '"status": "error"' "is told whole"
run jobs create --model tiny --file "$work/bad.jsonl"; is "$code $said" "1 " "no job is made of it"
echo "$good" > "$work/warned.jsonl"
run files put "$work/warned.jsonl"; is "$code" 0 "a doubtful file"; like "$said" '^file-[^ ]+$' "has its id"
like "$told" 'warned.jsonl: doubt 1\\u202e' "its warnings are shown, nothing hidden in them"
is "$(grep -c 'warning: ' <<< "$told")" 10 "the first ten"; like "$told" 'and 2 more warnings' "and how many more"
run jobs create --model tiny --suffix ok --file "$work/warned.jsonl"; is "$code" 0 "a job of it"
like "$said" '^ftjob-[^ ]+$' "its id alone"; like "$told" 'doubt 10.*and 2 more' "and the warnings beside"

mkdir "$work/folder"; run files put "$work/folder"; is "$code $said" "5 " "a folder"; like "$told" 'is a folder' "is called one"
mkfifo "$work/fifo"; run files put "$work/fifo"; is "$code" 5 "a pipe does not wait"; like "$told" 'pipe or a device' "and is called one"
run files put /dev/zero; is "$code" 5 "a device without end"; like "$told" 'pipe or a device' "is not read"
run files put <(echo "$good"); is "$code" 5 "a substituted command"
: > "$work/empty.csv"; run files put "$work/empty.csv"; is "$code" 5 "an empty file"; like "$told" 'empty.csv is empty' "is called empty"
run files put "$work/none.csv"; is "$code" 5 "no such file"; like "$told" 'none.csv: No such file' "says so"
run files put $'none\e[2J'; like "$told" 'none\\u001b\[2J' "a name cannot drive the terminal"
run files get file-none; is "$code" 3 "an unknown file"; like "$told" 'code file_not_found' "with its code"
run jobs watch ftjob-none; is "$code" 3 "an unknown job"
run --url "$url/v1/" files list; is "$code" 0 "the address as other clients have it, with /v1"
run jobs get; is "$code" 2 "no operand"
run jobs create --model tiny --suffix long --file "$file"; job=$said; await running
run jobs pause "$job"; is "$code" 0 "a job is paused"; like "$said" 'pausing: +true' "by and by"
await paused
run jobs list; like "$said" "$job  paused .* HRA r=8 " "the list shows it"
for method in 'oft|OFT block=32' 'boft|BOFT block=4' 'hra --apply-gs|HRA GS r=8' 'lora --r 2|LORA r=2'; do
  run jobs create --model tiny --suffix ok --file "$file" --method ${method%|*}; other=$said
  run jobs list; like "$said" "$other .* ${method#*|} " "and of another its method with the size that it has"
done
run jobs create --model tiny --suffix ok --file "$file" --set hyperparameters=7; is "$code" 3 "a member of another kind"; like "$told" 'param (method.supervised.)?hyperparameters' "is refused by its name"
(timeout 20 "$reflect" jobs watch "$job" > "$work/watched" 2>&1; echo "ended with $?" >> "$work/watched") &
watch=$!; sleep 1.5
run jobs resume "$job"; is "$code" 0 "and resumed"; await running
run jobs checkpoint "$job"; is "$code" 0 "a checkpoint of it"
run jobs cancel "$job"; wait "$watch"
like "$(< "$work/watched")" 'The job is paused.*The job is resumed.*A checkpoint was requested.*ended with 1' "a watch goes on through a pause"
run jobs checkpoint "$job"; is "$code" 3 "none of a job that has ended"; like "$told" 'job_not_running' "with its code"
run models; is "$code" 0 "the models"
like "$said" 'tiny[^'$'\n'']* usable ' "one that can be used"; like "$said" 'broken[^'$'\n'']* unusable .*gpt9' "and one that cannot, with its reason"

run jobs create --model tiny --suffix wait --file "$file"; job=$said; await running
set -m # so that the watch does not ignore SIGINT
"$reflect" jobs watch "$job" > "$work/said" 2> "$work/told" & watch=$!
set +m
sleep 1; kill -INT "$watch"; wait "$watch"; is "$?" 130 "an interrupted watch ends as interrupted"
like "$(< "$work/told")" "the job goes on.*jobs watch $job.*jobs cancel $job" "and says what that means, and how to come back"
call GET "/v1/fine_tuning/jobs/$job"; is "$(value status)" running "the job goes on"
run jobs cancel "$job"; is "$code" 0 "it is cancelled"
run jobs watch "$job"; is "$code" 1 "and was no success"

run jobs create --model tiny --suffix train --file "$file"; job=$said
(timeout 30 "$reflect" jobs watch "$job" > "$work/watched" 2> "$work/watched.err"; echo "$?" > "$work/watched.code") & watch=$!
(timeout 30 "$reflect" --json jobs watch "$job" > "$work/lines" 2> /dev/null) & lines=$!
sleep 0.5; stop; start --listen "$address"; wait "$watch" "$lines"
is "$(< "$work/watched.code")" 0 "a watch goes on through a restart of the server"
listed=$("$reflect" --json jobs events "$job" --limit 1000 | grep -c '"id": "ftevent-')
is "$(grep -c '"id":"ftevent-' "$work/lines")" "$listed" "as JSON it has each event once, in a line"
is "$(grep -o '"id":"ftevent-[0-9]*"' "$work/lines" | sort | uniq -d | wc -l)" 0 "and none twice"
like "$(tail -1 "$work/lines")" "\"id\":\"$job\".*\"status\":\"succeeded\"|\"status\":\"succeeded\".*\"id\":\"$job\"" "and ends with the job"
stop
run files list; is "$code" 4 "no server"; like "$told" 'is reflectd running' "asks whether it runs"
run --url "ftp://$address" files list; is "$code" 2 "no such kind of URL"

printf secret-of-sixteen > "$work/key"; chmod 600 "$work/key"; start --api-key-file "$work/key"; export REFLECT_URL=$url
run files list; is "$code" 3 "without the key"; like "$told" 'REFLECT_API_KEY' "it is told where it belongs"
REFLECT_API_KEY=wrong run files list; is "$code" 3 "a wrong key"; like "$told" "not this server's" "is called wrong"
REFLECT_API_KEY=secret-of-sixteen run files list; is "$code" 0 "the right key"
REFLECT_API_KEY=secret-of-sixteen run files list --tenant nobody; is "$code" 3 "an operator asks about a tenant"
like "$told" 'nobody.*code tenant_not_found' "who is not there"
REFLECT_TENANT=default REFLECT_API_KEY=secret-of-sixteen run files list; is "$code" 0 "and about one who is"
stop
finish
