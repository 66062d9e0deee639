#!/bin/bash
# Sweeps: grids, lists and methods become jobs, all of them or none; what came of them is one table that is right; they
# are cancelled, listed and deleted together. With the real worker, then with one that plays what is to be waited for.
. "$(dirname "$0")/lib.sh"
golden_model bert-hra
REFLECT=${REFLECT:-$(dirname "$REFLECTD")/reflect}
json=(-H 'Content-Type: application/json')
# sweep JOB_MEMBERS MEMBERS [QUERY]: sets sweep to the id.
sweep() { call POST "/v1/fine_tuning/sweeps${3:-}" "${json[@]}" -d "{\"job\":{\"model\":\"${model:-bert}\",\"training_file\":\"$file\"$1}$2}"; sweep=$(value id); }
refused() { sweep "$1" "$2"; is "$status $(value code) $(value param)" "$3" "$4"; }
get() { call GET "/v1/fine_tuning/sweeps/$sweep${1:-}"; }
# finished: polls until none of its jobs is open.
finished() { for _ in {1..200}; do get; [[ $(value status) == finished ]] && return; sleep 0.1; done; not_ok "a sweep ends" "$body"; }
# removed ID...: waits until the bytes of these jobs are gone, and sets gone.
removed() {
  local id
  for _ in {1..100}; do gone=yes; for id; do [[ -e $work/data/jobs/$id ]] && gone=no; done; [[ $gone == yes ]] && return; sleep 0.1; done
}
jobs() { grep -o '"id":"ftjob-[^"]*"' <<< "$body" | cut -d'"' -f4; }

start_real --workers-max 2
upload train.csv "$(echo text,label; for i in {1..24}; do echo "w$i w$((i % 9)) w3,l$((i % 2))"; done)"
base=",\"validation_file\":\"$file\",\"hyperparameters\":{\"n_epochs\":2,\"batch_size\":8},\"scheduling\":{\"threads\":1}"

# ---- what is refused makes nothing ----
refused "$base" ',"grid":{"adapter.r":[4,300],"n_epochs":[1,2]}' "400 invalid_value adapter.r" "a value that a job cannot have"
like "$body" 'job 3 of 4 \(adapter.r = 300, n_epochs = 1\): adapter.r' "is told with the job that has it"
refused "$base" ',"grid":{"adapter.rank":[4,8]}' "400 unknown_parameter adapter.rank" "a field that jobs have not"
refused "$base" ',"grid":{"adapter.r":[4],"evaluation.metric":["f1"]}' "400 invalid_value grid.evaluation.metric" "a metric that varies"
refused "$base" ',"methods":["hra","dora"]' "400 invalid_value methods[1]" "a method that is none"
refused "$base" ',"methods":["hra"],"metric":"accuracy","goal":"minimize"' "400 invalid_value goal" "a goal that contradicts the metric"
refused "" ',"grid":{"seed":[1]},"metric":"accuracy"' "400 invalid_value metric" "a metric without data to measure it on"
refused "$base" ',"grid":{"seed":[1,2]},"metric":"pearson"' "400 invalid_value evaluation.metric" "one that such data have not"
refused "$base" ',"gird":{}' "400 unknown_parameter gird" "an unknown member"
refused "$base" ',"grid":{"seed":[1,2,3,4,5,6,7,8,9,10,11],"n_epochs":[1,2,3,4,5,6,7,8,9,10]}' "400 invalid_value grid" "too many jobs"
call GET /v1/fine_tuning/jobs; like "$body" '"data":\[\]' "no job is left of any of them"
call GET /v1/fine_tuning/sweeps; like "$body" '"data":\[\]' "and no sweep"

# ---- what it would take ----
sweep "$base" ',"methods":["hra","lora"],"grid":{"learning_rate":[1e-3,1e-2]},"metric":"accuracy"' '?dry_run=true'
is "$status $(value object) $(value job_count) $(value fits)" "200 fine_tuning.sweep.estimate 4 true" "a dry run estimates each job"
is "$(grep -o '"trainable_parameters":[0-9]*' <<< "$body" | sort | uniq -c | sed 's/ *\([0-9]*\) .*/\1/' | tr '\n' ' ')" "4 " "and methods of matched size train as many parameters"
call GET /v1/fine_tuning/jobs; like "$body" '"data":\[\]' "it makes nothing"

# ---- a grid ----
sweep "$base" ',"grid":{"adapter.r":[2,4],"learning_rate":[1e-5,1e-2]},"metric":"accuracy","name":"rates"'
is "$status $(value object) $(value name) $(value metric) $(value goal) $(value job_count)" "200 fine_tuning.sweep rates accuracy maximize 4" "a grid is its combinations"
like "$body" '"fields":\["adapter.r","learning_rate"\]' "of these fields"; grid=$sweep first=$(jobs | head -1)
call GET "/v1/fine_tuning/jobs/$first"; like "$body" "\"sweep\":\{\"id\":\"$grid\",\"values\":\{\"adapter.r\":2,\"learning_rate\":1e-5\}\}" "a job says where it was made"
like "$body" '"learning_rate":1e-5.*"metric":"accuracy"' "and has its values and the sweep's metric"
sweep "$base" ',"methods":["hra","hra-gs","hra-lambda","lora","oft","boft"],"match":"trainable_parameters","metric":"loss"'; methods=$sweep
call GET "/v1/fine_tuning/jobs?sweep=$grid"; is "$(jobs | wc -l) $(value has_more)" "4 false" "jobs are listed by sweep"
call GET "/v1/fine_tuning/jobs?sweep=$grid&limit=3&after=$first"; is "$(jobs | wc -l)" 0 "in pages"
call GET "/v1/fine_tuning/jobs?sweep=$grid&metadata%5Ba%5D=b"; is "$status $(value param)" "400 sweep" "not by two filters"
call GET "/v1/fine_tuning/sweeps?limit=1"; is "$(value first_id) $(value has_more)" "$methods true" "sweeps are listed"
sweep=$grid; finished; like "$body" '"job_counts":\{[^}]*"succeeded":4,' "all have succeeded"
like "$body" '"best":\{"rank":1,"job_id":"ftjob-' "and one is the best"; best=$(grep -o '"best":{"rank":1,"job_id":"[^"]*"' <<< "$body" | cut -d'"' -f8)
get /results; first_row=$(grep -o '"data":\[{[^{]*' <<< "$body")
like "$first_row" "\"job_id\":\"$best\",\"status\":\"succeeded\"" "the best is the table's first"
like "$body" '"trainable_parameters":[1-9][0-9]*,"value":[0-9.]+,"last":[0-9.]+,"best":[0-9.]+,"best_step":[1-6],"train_loss":[0-9.]+,"duration_seconds":[0-9]+,"fine_tuned_model":"ft:bert' "with all that is compared"
get '/results?format=csv'; csv=$body
is "$(head -1 <<< "$csv" | tr -d '\r')" "rank,job_id,status,adapter.r,learning_rate,trainable_parameters,accuracy,last,best,best_step,train_loss,duration_seconds" "as CSV"
sorted=$(tail -n +2 <<< "$csv" | cut -d, -f7); is "$sorted" "$(sort -gr <<< "$sorted")" "from the best to the worst"
call GET "/v1/fine_tuning/jobs/$best/artifacts/training_manifest.json"
is "$(tail -n +2 <<< "$csv" | head -1 | cut -d, -f6)" "$(sed -n 's/.*"trainable_parameters": *\([0-9]*\).*/\1/p' <<< "$body" | head -1)" "parameters are those that were trained"
call GET "/v1/fine_tuning/sweeps/$grid/results" -H 'Accept: text/markdown'
like "$headers" 'ontent-[tT]ype: text/markdown' "as Markdown, by Accept"
is "$(wc -l <<< "$body") $(sed -n 2p <<< "$body" | tr -cd '|' | wc -c)" "6 13" "a row each below its titles"
get '/results?format=xml'; is "$status $(value param)" "400 format" "no other form"

# ---- methods ----
sweep=$methods; finished; like "$body" '"job_counts":\{[^}]*"succeeded":6,' "six methods are trained"
is "$(value goal)" minimize "a loss is better lower"
get '/results?format=csv'
is "$(cut -d, -f4 <<< "$body" | tail -n +2 | sort | tr '\n' ' ')" "boft hra hra-gs hra-lambda lora oft " "each has a row"
is "$(cut -d, -f6 <<< "$body" | tail -n +2 | sort -un | awk 'NR == 1 { least = $1 } { most = $1 } END { print most / least < 1.25 }')" 1 "and as many parameters, as near as sizes come"
like "$body" ',oft,block 16,' "at its own size"

# ---- deleting ----
call DELETE "/v1/fine_tuning/jobs/$best"; sweep=$grid; get; is "$(value job_count)" 3 "a job that is deleted has left its sweep"
unlike "$body" "$best" "wholly"; left=$(jobs | head -1)
call DELETE "/v1/fine_tuning/sweeps/$grid?keep_jobs=true"; is "$status $(value deleted)" "200 true" "a sweep is deleted without its jobs"
call GET "/v1/fine_tuning/jobs/$left"; like "$body" '"sweep":null' "which are no sweep's then"
sweep=$methods; get; rows=$(jobs) left=$(jobs | head -1); call DELETE "/v1/fine_tuning/sweeps/$methods"; is "$status" 200 "and with them"
call GET "/v1/fine_tuning/jobs/$left"; is "$status" 404 "they are gone"; get; is "$status $(value code)" "404 sweep_not_found" "and so is the sweep"
removed $rows
is "$gone" yes "and their bytes"

# ---- the command line ----
export REFLECT_URL=$url; job=(--model bert --file "$file" --validation "$file" --batch 8 --threads 1)
"$REFLECT" sweeps create "${job[@]}" --grid lr=1e-3,1e-2 --grid epochs=1,2 --metric accuracy --dry-run > "$work/out" 2>&1
like "$? $(< "$work/out")" '^0 FITS +STEPS +PARAMETERS .*yes +3 +[1-9][0-9]* .*n_epochs = 1.*yes +6 +' "reflect sweeps create --dry-run"
sweep=$("$REFLECT" sweeps create "${job[@]}" --grid lr=1e-3,1e-2 --grid r=2,4 --epochs 1 --metric accuracy --name 'By hand'); get
is "$(value id) $(value name) $(value metric) $(value job_count)" "$sweep By hand accuracy 4" "reflect sweeps create"
like "$body" '"fields":\["learning_rate","adapter.r"\]' "makes fields of options"
"$REFLECT" sweeps watch "$sweep" > "$work/out" 2> "$work/said"; is "$?" 0 "reflect sweeps watch succeeds when all jobs do"
unlike "$(< "$work/said")" 'asking every second' "by its stream"
stream() { curl -sN -m 20 "$url/v1/fine_tuning/sweeps/$sweep?stream=true" "$@"; }
body=$(stream); like "$body" '^retry: 3000.event: status.data: \{"id":"'"$sweep"'".*"status":"finished".*id: end.event: end.data: \{"sweep_id":"'"$sweep"'","status":"finished"\}' "the stream tells a finished sweep and ends"
is "$(stream -o /dev/null -w '%{http_code}' -H 'Last-Event-ID: end')" 204 "whoever heard the end has nothing to hear"
like "$(< "$work/said")" '4 of 4 jobs have ended, running: 0; the best so far: accuracy [0-9.]+ \(learning_rate' "tells the best"
like "$(< "$work/out")" 'ranked by accuracy.RANK +JOB +STATUS.*1 +ftjob-.* succeeded .*4 +ftjob-' "and shows the table"
"$REFLECT" sweeps results "$sweep" --format csv > "$work/out"; like "$(< "$work/out")" '^rank,job_id,status,learning_rate,adapter.r,' "reflect sweeps results --format"
like "$("$REFLECT" sweeps list)" "$sweep +finished +4/4 +accuracy +[0-9.]+ .*By hand" "reflect sweeps list"
like "$("$REFLECT" sweeps show "$sweep")" 'job_count: 4' "reflect sweeps show"
echo "{\"job\":{\"model\":\"bert\",\"training_file\":\"$file\",\"hyperparameters\":{\"n_epochs\":1}},\"methods\":[\"hra\"]}" > "$work/sweep.json"
other=$("$REFLECT" sweeps create --sweep "$work/sweep.json" --methods hra,oft --name over); call GET "/v1/fine_tuning/sweeps/$other"
is "$(value name) $(value job_count) $(value metric)" "over 2 train_loss" "a file, and options over it"
"$REFLECT" sweeps cancel "$other" > "$work/out" && ok "reflect sweeps cancel" || not_ok "reflect sweeps cancel" "$(< "$work/out")"
"$REFLECT" sweeps create "${job[@]}" --grid target-modules=query > "$work/out" 2>&1; is "$?" 2 "an option of several values is no field"
"$REFLECT" sweeps create "${job[@]}" --grid lr=much > "$work/out" 2>&1; like "$? $(< "$work/out")" '^2 .*--lr takes a number, not .much' "a value that is none"
"$REFLECT" sweeps create "${job[@]}" --grid r=4,300 > "$work/out" 2>&1; like "$? $(< "$work/out")" '^3 .*job 2 of 2 \(adapter.r = 300\)' "the server's refusal"
get; rows=$(jobs); "$REFLECT" sweeps delete "$sweep" > "$work/out"; like "$(< "$work/out")" 'deleted: true' "reflect sweeps delete"
removed $rows
like "$("$REFLECT" completion bash)" "'sweeps create'\\) words='.* --grid .*--methods" "completion knows it"
call GET '/v1/organization/audit_logs?limit=100'; like "$body" '"sweeps.delete"' "the audit log has it"
stop
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" && ok "the data folder is in order" || not_ok "the data folder is in order" "$(< "$work/fsck")"

# ---- what waits and runs ----
rm -r "$work/data"; model=tiny; start --workers-max 1 --queue-max 6
upload train.jsonl
key() { call POST /v1/fine_tuning/sweeps "${json[@]}" -H "Idempotency-Key: $1" -d "{\"job\":{\"model\":\"tiny\",\"training_file\":\"$file\",\"suffix\":\"$2\"},\"grid\":{\"seed\":[1,2]}}"; }
key k ok; is "$status" 200 "a sweep with an Idempotency-Key"; sweep=$(value id); key k ok; is "$status $(value id)" "200 $sweep" "sent again is the same"
like "$headers" 'Idempotency-Replayed: true' "and says that it is a replay"
call GET /v1/fine_tuning/sweeps; is "$(value first_id) $(value has_more)" "$sweep false" "it is made once"
key k other; is "$status $(value code) $(value param)" "422 idempotency_key_reused Idempotency-Key" "the key with another body"
key "$(printf 'k%.0s' {1..256})" ok; is "$status $(value param)" "400 Idempotency-Key" "a key of too many bytes"
retry() { call POST /v1/fine_tuning/sweeps "${json[@]}" -H "x-stainless-retry-count: $1" -d "{\"job\":{\"model\":\"tiny\",\"training_file\":\"$file\"},\"grid\":{\"seed\":[3]}}"; }
retry 0; other=$(value id); retry 1; is "$(value id)" "$other" "a client's automatic retry makes no second"
like "$("$REFLECT" --url "$url" jobs list --sweep "$other" --limit 5 | sed 1d | wc -l) $("$REFLECT" --url "$url" jobs list --sweep "$other" --limit 1 --json)" "^1 .*\"id\": *\"$other\"" "reflect jobs list --sweep"
for sweep in "$sweep" "$other"; do call POST "/v1/fine_tuning/sweeps/$sweep/cancel"; finished; call DELETE "/v1/fine_tuning/sweeps/$sweep"; done
sweep ',"suffix":"wait"' ',"list":[{"seed":1},{"seed":2},{"seed":3,"adapter.r":4}]'; is "$status $(value metric) $(value status)" "200 train_loss queued" "without validation data the training loss is compared"
like "$body" '"fields":\["seed","adapter.r"\]' "fields of a list are all that any has"; open=($(jobs))
sweep "" ',"grid":{"seed":[1,2,3,4,5,6]}'; is "$status $(value code)" "429 too_many_queued_jobs" "a sweep that the queue has no room for is refused whole"
sweep=$(call GET /v1/fine_tuning/sweeps; value first_id); await running "${open[0]}"
get; is "$(value status)" running "a sweep runs as soon as a job does"
curl -sN -m 30 "$url/v1/fine_tuning/sweeps/$sweep?stream=true" > "$work/heard" & listener=$!
for _ in {1..100}; do grep -q '"status":"running"' "$work/heard" && break; sleep 0.1; done; like "$(< "$work/heard")" '"status":"running"' "its stream tells it"
call POST "/v1/fine_tuning/jobs/${open[2]}/cancel"
for _ in {1..100}; do grep -q '"cancelled":1' "$work/heard" && break; sleep 0.1; done; like "$(< "$work/heard")" '"cancelled":0.*event: status.*"cancelled":1' "and what changes"; kill $listener; wait $listener 2> /dev/null
call DELETE "/v1/fine_tuning/sweeps/$sweep"; is "$status $(value code)" "409 job_not_finished" "it is not deleted while it does"
stop KILL; start --workers-max 1; get; is "$(value job_count)" 3 "it outlives the daemon"
await running "${open[0]}"; call POST "/v1/fine_tuning/sweeps/$sweep/cancel"; is "$status" 200 "a sweep is cancelled"
finished; like "$body" '"job_counts":\{[^}]*"cancelled":3\}' "with all its jobs"; like "$body" '"best":null' "none of which is the best"
call POST "/v1/fine_tuning/sweeps/$sweep/cancel"; is "$status" 200 "twice"
call GET /v1/fine_tuning/sweeps/sweep-none; is "$status $(value param)" "404 sweep_id" "no such sweep"
stop
finish
