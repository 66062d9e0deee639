#!/bin/bash
# What is wrong is said: status, code, param and a text that helps, for every error path of the API.
. "$(dirname "$0")/lib.sh"
start --attempts-max 1 --queue-max 2 --worker-silence-s 1 --shutdown-grace-s 1 --body-bytes-max 65536 --upload-bytes-max 100000

expect() { is "$status $(value code) $(value param)" "$1" "$2"; } # "STATUS CODE PARAM" DESCRIPTION
call GET /nowhere; expect "404 not_found null" "no such route"
call PUT /v1/files; is "$status $(value code)" "405 method_not_allowed" "wrong method"
like "$headers" 'Allow: GET, HEAD, POST' "with the right ones"
call GET /v1/files/file-none; expect "404 file_not_found file_id" "no such file"
call GET /v1/fine_tuning/jobs/none; expect "404 job_not_found job_id" "no such job"
call GET /v1/models/a%2Fb; expect "404 model_not_found model" "no such model, slash escaped"
call GET /v1/files/%00; is "$status" 400 "a zero byte in a path"
call GET '/v1/files?limit=0'; expect "400 invalid_value limit" "limit out of range"
call GET '/v1/files?limit=x'; expect "400 invalid_value limit" "limit not a number"
call GET '/v1/files?after=nope'; expect "400 invalid_cursor after" "unknown cursor"
call GET '/v1/files?x=%zz'; is "$status" 400 "bad escape in a query"

call POST /v1/files -H 'Content-Type: application/json' -d '{}'; expect "415 unsupported_media_type null" "an upload that is no form"
call POST /v1/files -F purpose=fine-tune; expect "400 missing_required_parameter file" "no file"
echo '{"text":"x","label":"a"}' > "$work/x.jsonl"
call POST /v1/files -F "file=@$work/x.jsonl"; expect "400 missing_required_parameter purpose" "no purpose"
call POST /v1/files -F purpose=batch -F "file=@$work/x.jsonl"; expect "400 invalid_file_purpose purpose" "another purpose"
like "$body" 'fine-tune' "names the one that is allowed"
call POST /v1/files -F purpose=fine-tune -F "file=@$work/x.jsonl" -F extra=1; expect "400 unknown_parameter name" "an unknown field"
call POST /v1/files -F purpose=fine-tune -F 'expires_after[anchor]=created_at' -F 'expires_after[seconds]=5' -F "file=@$work/x.jsonl"
expect "400 invalid_value expires_after[seconds]" "expiry too short"
call POST /v1/files -F "file=@$work/x.jsonl" -F 'expires_after[seconds]=7200' -F 'expires_after[anchor]=created_at' -F purpose=fine-tune
is "$status" 200 "fields in any order"; like "$body" '"expires_at":[0-9]' "the expiry is stored"
head -c 100001 /dev/zero > "$work/big.jsonl"
call POST /v1/files -F purpose=fine-tune -F "file=@$work/big.jsonl"; expect "413 file_too_large file" "file beyond the limit"
call POST /v1/files -F purpose=fine-tune -F "file=@$work/big.jsonl" -H 'Transfer-Encoding: chunked'; is "$status" 413 "the same in chunks"
head -c 300000 /dev/zero > "$work/big.jsonl"
call POST /v1/files -F purpose=fine-tune -F "file=@$work/big.jsonl"; is "$status" 413 "refused by its Content-Length alone"
is "$(find "$work/data/files" -type f | wc -l)" 1 "refused uploads leave nothing behind"
head -c 100000 /dev/zero > "$work/big.jsonl"
call POST /v1/files -F purpose=fine-tune -F "file=@$work/big.jsonl"; is "$status $(value bytes)" "200 100000" "a file of just the limit, whatever the form around it takes"
upload bad.jsonl; is "$status $(value status)" "200 error" "a bad data file is stored as such"
like "$(value status_details)" 'line 3, column 17: the line is not valid JSON' "with the place"
bad=$file
upload crash.jsonl; is "$(value status)" error "a check that crashes"; like "$(value status_details)" 'SIGKILL' "says so"
upload columns.csv; columns=$file
upload train.jsonl; good=$file

post() { call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "$1"; }
post '{"model":'; is "$status $(value code)" "400 invalid_json" "broken JSON"; like "$body" 'line 1, column' "with the place"
post '[]'; is "$status $(value code)" "400 invalid_json" "not an object"
post '{}'; is "$status $(value code)" "400 missing_required_parameter" "nothing in it"
like "$body" '"details":\[.*"param":"model".*"param":"training_file"|"details":\[.*"param":"training_file".*"param":"model"' "all faults at once"
post "{\"model\":\"tinny\",\"training_file\":\"$good\"}"; expect "404 model_not_found model" "unknown model"; like "$body" 'did you mean .\"tiny' "names the near one"
post "{\"model\":\"../models/tiny\",\"training_file\":\"$good\"}"; is "$status" 404 "a path is no model"
post '{"model":"tiny","training_file":"file-none"}'; expect "404 file_not_found training_file" "unknown file"
post "{\"model\":\"tiny\",\"training_file\":\"$bad\"}"; expect "400 dataset_invalid training_file" "a bad file"; like "$body" 'line 3, column 17' "quotes its fault"
post "{\"model\":\"tiny\",\"training_file\":\"$good\",\"validation_file\":\"$bad\"}"; expect "400 dataset_invalid validation_file" "a bad validation file"
post "{\"model\":\"tiny\",\"training_file\":\"$columns\"}"; expect "400 invalid_value dataset.text" "a column that is not there"; like "$body" 'review.*stars' "names the columns there are"
post "{\"model\":\"tiny\",\"training_file\":\"$good\",\"batch\":3}"; expect "400 unknown_parameter batch" "unknown member"
post "{\"model\":\"$(printf 'x%.0s' {1..70000})\"}"; is "$status" 413 "body beyond the limit"
call POST /v1/fine_tuning/jobs -H 'Content-Type: text/plain' -d '{}'; is "$status" 415 "not JSON by its type"

fails() { # SUFFIX CODE TEXT
  submit "$1"; await failed || { not_ok "$1: fails" "$body"; return; }
  is "$(value code)" "$2" "$1: code"; like "$body" "$3" "$1: text"
}
file=$good
fails crash worker_crashed 'killed by SIGSEGV.*about to fall over'
fails silent worker_unresponsive 'said nothing for 1 seconds'
fails error nan_loss 'not finite at step 3'
fails reasonless worker_crashed 'exited with status 7.*no idea'
fails noartifact worker_crashed 'without an artifact'
fails badhash content_damaged 'SHA-256'
fails babble worker_crashed 'no event'
fails longline worker_crashed 'line of more than'
fails link content_damaged 'adapter.bin'
like "$body" '"result_files":\[\]' "a failed job has no results"
gone "$work/data/jobs/$job/1" "and leaves no output"

submit wait; running=$job; await running
call DELETE "/v1/files/$good"; expect "409 file_in_use file_id" "a file that a job needs"; like "$headers" 'x-should-retry: false' "is not retried"
submit wait; queued=$job; like "$body" '"queue_position":0' "the place in the queue"
submit wait ',"seed":1'; other=$job
submit wait; is "$status $(value code)" "429 too_many_queued_jobs" "the queue is full"; like "$headers" 'Retry-After: ' "with Retry-After"
call POST "/v1/fine_tuning/jobs/$queued/cancel"; is "$(value status)" cancelled "a queued job is cancelled at once"
call POST "/v1/fine_tuning/jobs/$queued/cancel"; is "$status" 200 "again: the same answer"
call POST "/v1/fine_tuning/jobs/$other/cancel"
call POST "/v1/fine_tuning/jobs/$running/cancel"; is "$status" 200 "a running job is told to stop"
await cancelled "$running" && ok "and stops" || not_ok "and stops" "$body"
submit deaf; await running
call POST "/v1/fine_tuning/jobs/$job/cancel"; await cancelled && ok "one that does not listen is killed" || not_ok "one that does not listen is killed" "$body"

key() { call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -H "Idempotency-Key: $1" -d "{\"model\":\"tiny\",\"training_file\":\"$good\",\"suffix\":\"$2\"}"; }
key k1 ok; first=$(value id); key k1 ok; is "$(value id)" "$first" "same Idempotency-Key, same job"
like "$headers" 'Idempotency-Replayed: true' "and says that it is a replay"
key k1 other; expect "422 idempotency_key_reused Idempotency-Key" "same key, another body"
retry() { call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -H "x-stainless-retry-count: $1" -d "{\"model\":\"tiny\",\"training_file\":\"$good\",\"suffix\":\"retry\"}"; }
retry 0; first=$(value id); retry 1; is "$(value id)" "$first" "an automatic retry makes no second job"
retry 0; [[ $(value id) != "$first" ]] && ok "a deliberate repetition does" || not_ok "a deliberate repetition does"
stop
finish
