#!/bin/bash
# What models are asked, as the daemon carries it: answers whole and streamed, choices, who may ask for what, models that
# are loaded, crash, make room and are let go; with a worker that stands in. What a model really says: tests/interop/test_chat.py.
. "$(dirname "$0")/lib.sh"
for model in heavy late encoder; do mkdir -p "$work/models/$model"; echo '{}' > "$work/models/$model/config.json"; done
echo a-key-of-sixteen-bytes > "$work/key"
start --serving-idle-s 2 --serving-max 1 --serving-queue-max 4 --serving-memory-mib 16 --shutdown-grace-s 2 --api-key-file "$work/key"
key=(-H "Authorization: Bearer a-key-of-sixteen-bytes")
# ask PATH JSON [CURL OPTION...]
ask() { local path=$1 json=$2; shift 2; call POST "/v1/$path" "${key[@]}" -H 'Content-Type: application/json' -d "$json" "$@"; }
chat() { local text=$1 more=${2:-}; shift; shift; ask chat/completions "{\"model\":\"${model:-tiny}\",\"messages\":[{\"role\":\"user\",\"content\":\"$text\"}]$more}" "$@"; }
model=tiny
workers() { call GET /metrics "${key[@]}"; grep -o 'workers{state="serving"} [0-9]*' <<< "$body" | cut -d' ' -f2; }
until_workers() { for _ in {1..100}; do [[ $(workers) == "$1" ]] && return; sleep 0.1; done; return 1; }

chat hi ',"seed":7'; is "$status" 200 "a chat"
like "$body" '"id":"chatcmpl-[a-z0-9]{24}".*"object":"chat.completion","created":[0-9]+,"model":"tiny"' "its head"
like "$body" '"system_fingerprint":"fp_[0-9a-f]{10}"' "a fingerprint"
like "$body" '"choices":\[\{"index":0,"message":\{"role":"assistant","content":"I am the base of seed 7","refusal":null\},"logprobs":null,"finish_reason":"stop"\}\]' "its choice"
like "$body" '"usage":\{"prompt_tokens":5,"completion_tokens":4,"total_tokens":9\}' "its usage"
is "$(workers)" 1 "the model is held"
chat hi ',"n":3,"seed":7,"logprobs":true,"top_logprobs":1'
is "$(grep -o 'seed [0-9]*' <<< "$body" | tr '\n' ' ')" "seed 7 seed 8 seed 9 " "each choice has a seed of its own"
like "$body" '"prompt_tokens":5,"completion_tokens":12,' "choices share a prompt"
like "$body" '"logprobs":\{"content":\[\{"token":"a","bytes":\[97\],"logprob":-0.5,' "log-probabilities"

chat hi ',"stream":true,"seed":1,"stream_options":{"include_usage":true}' -N
like "$headers" 'Content-Type: text/event-stream' "a stream"
first=$(head -1 "$work/body")
like "$first" '^data: \{"id":"chatcmpl-.*"object":"chat.completion.chunk".*"choices":\[\{"index":0,"delta":\{"role":"assistant","content":"' "begins with the role"
is "$(grep -o '"content":"[^"]*"' "$work/body" | cut -d'"' -f4 | tr -d '\n')" "I am the base of seed 1" "has all of the text"
like "$(grep finish "$work/body" | grep -v '"choices":\[\]' | tail -1)" '"finish_reason":"stop"' "says how it ended"
like "$(grep '^data' "$work/body" | tail -2 | head -1)" '"choices":\[\],"usage":\{"prompt_tokens":5,' "tells its usage last"
is "$(grep '^data' "$work/body" | tail -1)" "data: [DONE]" "and ends"

tools=',"tools":[{"type":"function","function":{"name":"f"}}]'
chat call-me "$tools"; like "$body" '"message":\{"role":"assistant","content":null,"refusal":null,"tool_calls":\[\{"id":"abcdefgh1","type":"function","function":\{"name":"f","arguments":"\{\}"\}\}\]\}' "a function is called"
like "$body" '"finish_reason":"tool_calls"' "which ends the answer"
chat call-me "$tools,\"stream\":true" -N; like "$(< "$work/body")" '"delta":\{"role":"assistant".*"tool_calls":\[\{"index":0,"id":"abcdefgh1",' "and so it does in a stream"
like "$(< "$work/body")" '"finish_reason":"tool_calls".*DONE' "that ends so"
chat call-me "$tools,\"tool_choice\":\"none\""; like "$body" '"content":"no tools","refusal":null\}' "unless none is to be called"

ask completions '{"model":"tiny","prompt":["a","b"],"n":2,"seed":3,"echo":true}'
is "$(grep -o '"text":"[^"]*"' <<< "$body" | cut -d'"' -f4 | tr '\n' '|')" "aI am the base of seed 3|aI am the base of seed 4|bI am the base of seed 3|bI am the base of seed 4|" "completions of two prompts"
like "$body" '"object":"text_completion".*"prompt_tokens":10,"completion_tokens":16' "their usage"
ask completions '{"model":"tiny","prompt":"a","logprobs":1,"seed":1}'
like "$body" '"logprobs":\{"tokens":\["a","a","a"\],"token_logprobs":\[-0.5,-0.5,-0.5\],"top_logprobs":\[\{"a":-0.5\},.*"text_offset":\[0,1,2\]' "log-probabilities in their older form"
ask embeddings '{"model":"tiny","input":["a","b"]}'
like "$body" '"object":"list","data":\[\{"object":"embedding","index":0,"embedding":\[1.0,2.0\]\},\{"object":"embedding","index":1' "vectors as numbers"
like "$body" '"usage":\{"prompt_tokens":4,"total_tokens":4\}' "and what they took"
ask embeddings '{"model":"tiny","input":"a","encoding_format":"base64"}'; like "$body" '"embedding":"AACAPwAAAEA="' "or as base64"
ask embeddings '{"model":"tiny","input":"a","dimensions":3}'; is "$status $(value param)" "400 dimensions" "other dimensions than there are"
ask embeddings "{\"model\":\"tiny\",\"input\":[\"a\"$(printf ',"x%d"' {1..99})]}"; is "$(grep -o '"index"' <<< "$body" | wc -l)" 100 "more texts than are under way at a time"
ask classify '{"model":"tiny","input":[["a","b"],"c"]}'
like "$body" '"data":\[\{"object":"classification","index":0,"label":"good","score":0.75,"scores":\[\{"label":"good","score":0.75\},\{"label":"bad","score":0.25\}\]\},' "what a classifier says"

# ---- what is refused ----
chat 'a too-long one'; is "$status $(value code) $(value param)" "400 invalid_value messages" "what the worker refuses"
ask completions '{"model":"tiny","prompt":"too-long"}'; is "$status $(value param)" "400 prompt" "by the name that the body has for it"
chat 'too-long' ',"stream":true'; is "$status $(value type)" "400 invalid_request_error" "a stream that cannot begin is an error"
chat hi ',"stop":["a","b","c","d","e"]'; is "$status $(value param)" "400 stop" "too many stops"
chat hi ',"response_format":{"type":"json_schema"}'; is "$(value code) $(value param)" "unsupported_value response_format" "a form of the answer"
model=nobody; chat hi; is "$status $(value code) $(value param)" "404 model_not_found model" "an unknown model"
model=ft:tiny:none; chat hi; is "$status" 404 "an unknown fine-tuned model"
model=heavy; chat hi; is "$status $(value code)" "400 model_load_failed" "a model that cannot be loaded"
like "$body" 'its weights are damaged' "and why"
model=tiny; until_workers 0
call POST /v1/chat/completions -H 'Content-Type: application/json' -d '{}'; is "$status" 401 "without a key"

# ---- adapters ----
printf '%s\n' '{"text":"good","label":"a"}' > "$work/train.jsonl"
call POST /v1/files "${key[@]}" -F purpose=fine-tune -F "file=@$work/train.jsonl"; file=$(value id)
train() { call POST /v1/fine_tuning/jobs "${key[@]}" -H 'Content-Type: application/json' -d "{\"model\":\"tiny\",\"training_file\":\"$file\",\"suffix\":\"adapter\"}"; job=$(value id)
  for _ in {1..100}; do call GET "/v1/fine_tuning/jobs/$job" "${key[@]}"; [[ $body == *'"status":"succeeded"'* ]] && break; sleep 0.1; done; tuned=$(value fine_tuned_model); }
train
model=$tuned; chat hi ',"seed":2'; like "$body" "I am $job with rank 8 of seed 2" "a fine-tuned model has its adapter's files"
call GET "/v1/fine_tuning/jobs/$job/checkpoints" "${key[@]}"; checkpoint=$(value fine_tuned_model_checkpoint)
model=$checkpoint; chat hi; like "$body" 'I am ftckpt-[0-9]+ with rank 4' "a checkpoint has its own"
call POST /v1/organization/tenants/other "${key[@]}" -H 'Content-Type: application/json' -d '{}'
chat hi '' -H 'X-Reflectd-Tenant: other'; is "$status $(value code)" "404 model_not_found" "another tenant knows none of them"
is "$(workers)" 1 "one worker for all of a base model"
call DELETE "/v1/models/$tuned" "${key[@]}"; is "$status" 200 "a model that is held can be deleted"
model=$tuned; chat hi; is "$status" 404 "and then cannot be asked"
for _ in {1..50}; do [[ -s $work/data/serving/forgotten ]] && break; sleep 0.1; done
like "$(cat "$work/data/serving/forgotten")" "\"forget\": ?\"$job\"" "its worker forgets it"
[[ -z $(ls "$work"/data/serving/*/"$job" 2>/dev/null) ]] && ok "its files are gone" || not_ok "its files are gone"
train; mv "$work/models/tiny" "$work/away"; model=$tuned; chat hi
is "$status $(value code)" "404 model_not_found" "an adapter of a base that is gone"; like "$body" "was trained from tiny, which is not in the models folder" "says so"
mv "$work/away" "$work/models/tiny"

# ---- their lives ----
model=tiny; chat crash; is "$status $(value code)" "500 worker_crashed" "a worker that dies fails what it was at"
chat hi; is "$status" 200 "and the next request starts another"
chat alien; is "$status $(value code)" "500 worker_crashed" "a worker that answers what it was not asked is ended"
chat hi; chat forever '' --max-time 1; ask completions '{"model":"tiny","prompt":"forever","stream":true}' --max-time 1 -N
for _ in {1..50}; do call GET /metrics "${key[@]}"; [[ $body == *$'\nreflectd_generation_requests 0'* ]] && break; sleep 0.1; done
like "$body" 'reflectd_generation_requests 0' "who leaves is waited for no more"
like "$body" 'kind="chat",result="cancelled"\} 1.*kind="completion",result="cancelled"\} 1' "whether he streamed or not"
like "$body" 'reflectd_generation_tokens_total\{type="completion"\} [1-9]' "tokens are counted"
like "$body" 'reflectd_generation_time_to_first_token_seconds_count [1-9]' "and how long the first one takes"
model=late; chat hi; is "$status" 200 "another model takes the place of one that nobody asks"; is "$(workers)" 1 "and there is no more than one"
holders=(); for i in {1..4}; do curl -sN --max-time 8 "${key[@]}" -H 'Content-Type: application/json' "$url/v1/chat/completions" -d '{"model":"late","stream":true,"messages":[{"role":"user","content":"forever"}]}' > "$work/hold.$i" & holders+=($!); done
for _ in {1..50}; do [[ -s $work/hold.1 && -s $work/hold.2 && -s $work/hold.3 && -s $work/hold.4 ]] && break; sleep 0.1; done
chat hi; is "$status $(value code)" "429 model_overloaded" "more than may be under way"; like "$headers" 'Retry-After: [0-9]+' "comes again later"
kill "${holders[@]}"; wait "${holders[@]}" 2>/dev/null
until_workers 0 && ok "what nobody asks is let go" || not_ok "what nobody asks is let go"
unlike "$(< "$work/log")" 'forever' "the log has no prompt"
curl -sN "${key[@]}" -H 'Content-Type: application/json' "$url/v1/completions" -d '{"model":"tiny","stream":true,"prompt":"forever"}' > "$work/last" & asking=$!
for _ in {1..50}; do grep -q more "$work/last" && break; sleep 0.1; done
kill -TERM "$pid"; sleep 0.3; chat hi; like "$status" '^(503|000)$' "a daemon that ends takes no more"
wait "$asking"; like "$(tail -2 "$work/last")" '"code":"draining"' "what takes longer than it has is told so"
wait "$pid"; is $? 0 "the daemon ends in time"; pid=
finish
