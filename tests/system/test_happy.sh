#!/bin/bash
# From upload to adapter: the whole way a client goes, and what the objects look like on it.
. "$(dirname "$0")/lib.sh"
start

call GET /livez; is "$status" 200 "livez"
call GET /readyz; is "$status" 200 "readyz"
call GET /version; like "$body" '"version"' "version"
call GET /openapi.json; like "$body" '"openapi":"3.1' "the OpenAPI document"
"$REFLECTD" healthcheck --data "$work/data" --models "$work/models" --listen "$address"; is $? 0 "healthcheck of a living daemon"

upload train.jsonl; is "$status" 200 "upload"
is "$(value status)" processed "a small file is checked when the answer comes"
like "$body" '"validation":\{"format":"jsonl"' "the report is shown with the file"
like "$headers" 'x-request-id: req_' "every answer has a request id"
call GET "/v1/files/$file" -H 'X-Request-Id: mine-1'; like "$headers" 'x-request-id: mine-1' "a client's request id is kept"
call GET "/v1/files/$file/content"; is "$body" "$(< "$work/train.jsonl")" "the bytes come back"
call GET '/v1/files?purpose=fine-tune&limit=1'; like "$body" "\"has_more\":false.*\"id\":\"$file\"" "list of files"

submit ok ',"metadata":{"team":"a b","k":""},"seed":7'
is "$status" 200 "submit"
like "$body" '"object":"fine_tuning.job"' "a job object"
like "$body" '"hyperparameters":\{' "hyperparameters is an object"
like "$body" '"method":\{.*"type":"supervised"|"method":\{"type":"supervised"' "the method is supervised"
like "$body" '"adapter":\{' "the adapter is shown"
like "$body" '"fine_tuned_model":null' "no model yet"
await succeeded && ok "the job succeeds" || not_ok "the job succeeds" "$body"
model=$(value fine_tuned_model)
is "$model" "ft:tiny:local:ok:${job:6:8}" "the model's name"
is "$(value trained_tokens)" 512 "trained_tokens"
like "$body" '"seed":7' "the seed"
like "$body" '"progress":\{' "the last progress"

call GET "/v1/fine_tuning/jobs/$job/events?limit=100"
for text in 'Created fine-tuning job' queued running loading 'step 2' 'New fine-tuned model created' 'The job has succeeded'; do
  like "$body" "\"message\":\"$text" "event: $text"
done
like "$body" '"type":"metrics"' "metrics are events"
call GET "/v1/fine_tuning/jobs/$job/events?limit=1"; newest=$(value id)
like "$body" '"has_more":true' "there are older events"
call GET "/v1/fine_tuning/jobs/$job/events?limit=1&after=$newest"; unlike "$body" "\"id\":\"$newest\"" "the next page goes on"
call GET "/v1/fine_tuning/jobs/$job/events?after=ftevent-999999"; is "$(value code)" invalid_cursor "an unknown cursor"
call GET "/v1/fine_tuning/jobs/$job/checkpoints"; like "$body" "$model:ckpt-step-2.*$model:ckpt-step-1" "checkpoints, newest first"
call GET "/v1/fine_tuning/jobs/$job/logs"; like "$body" "fake worker: ok" "the worker's log"

call GET "/v1/fine_tuning/jobs/$job"
[[ $body =~ \"result_files\":\[\"([^\"]*)\",\"([^\"]*)\"\] ]] && result=${BASH_REMATCH[1]} || result=none
call GET "/v1/files/$result"; is "$(value purpose)" fine-tune-results "a result file"
call GET "/v1/files/$result/content"; is "$body" "adapter weights of $job" "its content"
call GET "/v1/fine_tuning/jobs/$job/artifacts"; like "$body" '"name":"adapter_model.safetensors".*"name":"metrics.csv"' "the artifacts"
artifact=/v1/fine_tuning/jobs/$job/artifacts/adapter_model.safetensors
call GET "$artifact"; is "$body" "adapter weights of $job" "download of an artifact"
like "$headers" 'Content-Disposition: attachment; filename="adapter_model.safetensors"' "as an attachment"
[[ $headers =~ ETag:\ (\"sha256:[0-9a-f]{64}\") ]] && etag=${BASH_REMATCH[1]} || etag=none
call GET "$artifact" -H "If-None-Match: $etag"; is "$status" 304 "not modified"
call GET "$artifact" -H 'Range: bytes=0-6'; is "$status $body" "206 adapter" "the first bytes"
call GET "$artifact" -H 'Range: bytes=-4'; is "$status $body" "206 ${job: -4}" "the last bytes"
call GET "$artifact" -H 'Range: bytes=0-6' -H 'If-Range: "sha256:0"'; is "$status" 200 "a stale If-Range gives everything"
call GET "$artifact" -H 'Range: bytes=0-6' -H "If-Range: $etag"; is "$status $body" "206 adapter" "one that is right the part"
call GET "$artifact" -H 'Range: bytes=0-6' -H "If-Range: W/$etag"; is "$status" 200 "a weak one is none"
call GET "$artifact" -H 'Range: bytes=0-6' -H "If-Range: \"x\", $etag"; is "$status" 200 "and a list neither"
call GET "$artifact" -H 'Range: bytes=0-6' -H 'If-Range: Fri, 01 Jan 2027 00:00:00 GMT'; is "$status" 200 "nor a date"
call GET "$artifact" -H 'Range: bytes=0-1,3-4'; is "$status" 200 "of several ranges everything"
call GET "$artifact" -H "If-None-Match: \"x\", W/$etag"; is "$status$body" 304 "If-None-Match compares weakly, in a list"; like "$headers" "${etag//\"/.}" "and the answer has the ETag"
call GET "$artifact" -H 'If-None-Match: *'; is "$status" 304 "any"
call GET "$artifact" -H "If-Match: \"x\", $etag"; is "$status" 200 "If-Match that names it"
call GET "$artifact" -H 'If-Match: "x"'; is "$status $(value code)" "412 precondition_failed" "or not"
call GET "$artifact" -H "If-Match: W/$etag"; is "$status" 412 "it compares strongly"
call HEAD "$artifact" --head -H 'Range: bytes=0-6'; is "$status" 200 "HEAD knows no ranges"; unlike "$headers" Content-Range "and says so"
call GET "$artifact" -H 'Range: bytes=9999-'; is "$status" 416 "a range beyond the end"
status=$(curl -sS -I -o /dev/null -w '%{http_code}' "$url$artifact"); is "$status" 200 "HEAD"

cp -r "$work/models/tiny" "$work/models/hf" && : > "$work/models/hf/model.safetensors" && : > "$work/models/hf/also.gguf"
: > "$work/models/file.gguf"; mkdir "$work/models/folder" "$work/models/two"; : > "$work/models/folder/weights.gguf"
: > "$work/models/two/a.gguf"; : > "$work/models/two/b.gguf"
for name in hf:safetensors tiny:safetensors file.gguf:gguf folder:gguf; do
  call GET "/v1/models/${name%:*}"; is "$(value format)" "${name#*:}" "format of the model ${name%:*}"
done
call GET /v1/models/two; is "$(value code)" model_not_found "a folder with two .gguf files is no model"
call GET /v1/models; like "$body" "\"id\":\"tiny\".*\"id\":\"$model\"" "both kinds of models are listed"
call GET "/v1/models/${model//:/%3A}"; is "$(value owned_by) $(value format)" "user peft" "the model by its escaped id"
call GET /v1/fine_tuning/jobs?metadata%5Bteam%5D=a+b\&metadata%5Bk%5D=; like "$body" "\"id\":\"$job\"" "jobs by metadata"
call GET /v1/fine_tuning/jobs?metadata%5Bteam%5D=c; like "$body" '"data":\[\]' "no jobs by other metadata"
call GET '/v1/fine_tuning/jobs?metadata=null'; like "$body" '"data":\[\]' "jobs without metadata"
call POST "/v1/fine_tuning/jobs/$job/cancel"; is "$status $(value code)" "409 job_already_finished" "no cancelling after the end"
like "$headers" 'x-should-retry: false' "and no retry of that"
tuned=$job; submit language ',"checkpointing":{"keep_last":2}'; await succeeded; call GET "/v1/fine_tuning/jobs/$job/checkpoints"
like "$body" 'ckpt-step-3.*ckpt-step-2' "the checkpoints that are kept"; unlike "$body" 'ckpt-step-1' "the one that keep_last removed is gone"
like "$body" '"full_valid_mean_token_accuracy":0.5' "a language model's metrics are passed on"
job=$tuned

call DELETE /v1/models/tiny; is "$status" 409 "a base model is not deleted"
call DELETE "/v1/models/$model"; is "$status $(value deleted)" "200 true" "the tuned model is"
call GET "/v1/models/$model"; is "$(value code)" model_not_found "and is gone"
call GET "$artifact"; is "$(value code)" artifact_not_found "with its artifacts"
call GET "/v1/files/$result"; is "$(value code)" file_not_found "and its result files"
gone "$work/data/jobs/$job/1" "and its folder"
call DELETE "/v1/files/$file"; is "$(value deleted)" true "the upload is deleted"
gone "$work/data/files/$file" "with its bytes"

upload train.jsonl; submit env; await succeeded
call GET "/v1/fine_tuning/jobs/$job/artifacts/env.txt"; like "$body" PATH= "a worker knows where programs are"
unlike "$body" HOME= "a worker sees nothing else of the environment"
call GET "/v1/fine_tuning/jobs/$job/artifacts/fds.txt"; unlike "$body" 'reflectd.db|lock$' "nor the daemon's files"
stop; is "$code" 0 "SIGTERM ends it with 0"
bad=$(grep -vc '^{"ts":".*}$' "$work/log"); is "$bad" 0 "every log line is an object"
finish
