#!/bin/bash
# /metrics counts what happens; who may see it; the dashboard in config/ asks for nothing that is not there; each line of
# the log is one JSON object.
. "$(dirname "$0")/lib.sh"

sample() { awk -v "series=$1" '$1 == series {print $2}' <<< "$body"; } # SERIES: its value in $body
keys() { "$REFLECTD" keys "$@" --data "$work/data" 2> "$work/said"; }

start --attempts-max 1
upload train.jsonl
submit ok; await succeeded
submit error; await failed
submit wait; await running
call GET "/v1/files/$file/content"; bytes=${#body}
call GET /v1/nothing
for _ in {1..100}; do # the one that runs tells of its first step in a moment
  call GET /metrics
  [[ $(sample reflectd_train_steps_total) -ge 3 ]] && break
  sleep 0.1
done
is "$status" 200 "nobody has a key: everybody sees the metrics"
like "$headers" 'Content-Type: text/plain; version=0\.0\.4; charset=utf-8' "in Prometheus' format"
route='method="GET",route="/v1/files/{file_id}/content",code="200"'
is "$(sample "reflectd_http_requests_total{$route}")" 1 "requests count by the template of their route"
is "$(sample 'reflectd_http_requests_total{method="other",route="other",code="404"}')" 1 "what has no route counts as other"
is "$(sample 'reflectd_jobs{status="running"}')" 1 "a job runs"
is "$(sample 'reflectd_workers{state="training"}')" 1 "and its worker"
is "$(sample 'reflectd_jobs_finished_total{status="succeeded",peft_type="HRA"}')" 1 "one has succeeded"
is "$(sample 'reflectd_jobs_finished_total{status="failed",peft_type="HRA"}')" 1 "one has failed"
is "$(sample 'reflectd_job_queue_wait_seconds_count')" 3 "three have waited"
is "$(sample 'reflectd_job_run_duration_seconds_count{status="failed"}')" 1 "runs are timed by how they ended"
is "$(sample 'reflectd_train_steps_total')" 3 "steps are counted"
is "$(sample 'reflectd_train_tokens_total{device="cpu"}')" 640 "and their tokens"
is "$(sample 'reflectd_upload_bytes_total')" $((bytes + 1)) "and bytes that came"
is "$(sample 'reflectd_download_bytes_total')" $((bytes + 1)) "and went"
unlike "$body" "$job|$file" "no id is a label"
promtool=$(command -v promtool) && is "$($promtool check metrics < "$work/body" 2>&1)" "" "promtool finds nothing"

# ---- the dashboard ----
described=$(sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' <<< "$body")
asked=$(grep -o '"\(expr\|query\)": ".*"' "$root/config/grafana.json" | grep -oE '(reflectd|process)_[a-z_]+' | sed -E 's/_(bucket|sum|count)$//' | sort -u)
is "$(comm -13 <(sort <<< "$described") <(echo "$asked"))" "" "the dashboard asks for metrics that there are"
is "$(comm -13 <(echo "$asked") <(grep ^reflectd_ <<< "$described" | sort))" "" "and for all of the daemon's own"
"$REFLECTD" fsck --data "$work/data" > "$work/said" 2>&1; is "$?" 0 "fsck finds nothing"

# ---- the log ----
line=$(grep '"route":"/v1/files/{file_id}/content"' "$work/log" | tail -1)
like "$line" '"request_id":"req_[a-z0-9]+","method":"GET","route":"/v1/files/\{file_id\}/content","status":200,"duration_s":[0-9.e-]+,"tenant":"default","msg":"GET /v1/files/\{file_id\}/content 200"' "a request's line has members of its own"
like "$(grep '"POST"' "$work/log" | tail -3)" "\"tenant\":\"default\",\"job\":\"$job\"" "that which makes a job names it"
like "$(grep '"job":' "$work/log" | grep 'runs as process' | tail -1)" "\"job\":\"$job\",\"attempt\":1," "what the daemon says of a run names job and attempt"

# ---- who may see it ----
reader=$(keys create --name scraper --scope read) other=$(keys create --name other --tenant other --scope admin)
call GET /metrics; is "$status $(value code)" "401 invalid_api_key" "with keys it needs one"
call GET /metrics -H "Authorization: Bearer $reader"; is "$status" 200 "that reads"
call GET /metrics -H "Authorization: Bearer $other"; is "$status $(value code)" "403 insufficient_scope" "of the operator's tenant"
stop
start --metrics-open
call GET /metrics; is "$status" 200 "with metrics_open it needs none"
is "$(sample 'reflectd_jobs_finished_total{status="succeeded",peft_type="HRA"}')" 1 "jobs that ended before the start count"
call GET /v1/files; is "$status" 401 "and nothing else is open"
stop

finish
