#!/bin/bash
# Evaluation by generation with the real worker on a tiny language model: what is refused and where, what it is estimated to
# take, that the metric decides which adapter is kept, and what is left of it; then the adapter answers, over HTTP.
. "$(dirname "$0")/lib.sh"
mkdir "$work/models/llama"; cp "$root"/tests/golden/cases/llama-hra/model/* "$work/models/llama/"
{ printf '{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},"post_processor":null,"decoder":null,'
  printf '"model":{"type":"WordPiece","unk_token":"w0","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"w0":0'
  printf ',"w%d":%d' $(for i in {1..98}; do echo "$i $i"; done); printf '}}}'; } > "$work/models/llama/tokenizer.json"
echo '{"chat_template":"{% for m in messages %}{{ m.content }} {% endfor %}"}' > "$work/models/llama/tokenizer_config.json"
start_real

post() { call POST "/v1/fine_tuning/jobs${2:-}" -H 'Content-Type: application/json' -d "{\"model\":\"llama\",\"training_file\":\"$file\",\"validation_file\":\"$file\",\"seed\":1,\"hyperparameters\":{\"max_steps\":60,\"batch_size\":6,\"learning_rate\":0.05,\"lr_scheduler_type\":\"constant\",\"warmup_ratio\":0},\"adapter\":{\"r\":4,\"target_modules\":\"all-linear\"}$1}"; job=$(value id); }
refused() { post "${4:-}"; is "$status $(value code) $(value param)" "400 $2" "$1"; like "$body" "$3" "$1: says so"; }
artifact() { call GET "/v1/fine_tuning/jobs/$job/artifacts/$1"; }

upload pairs.jsonl "$(for i in {0..5}; do echo "{\"prompt\":\"w1$i w5$i \",\"completion\":\"w3$((i % 2))\",\"number\":3$((i % 2))}"; done)"
refused "a column that is not there" "invalid_value evaluation.generate.answer" 'has no column .*none' ',"evaluation":{"generate":{"answer":"none"}}'
refused "a device" "unsupported_value scheduling.device" 'runs on the CPU' ',"evaluation":{"generate":{}},"scheduling":{"device":"opencl"}'
refused "a metric that is not measured" "missing_required_parameter evaluation.generate" 'exact_match' ',"evaluation":{"metric":"exact_match"}'
generate=',"evaluation":{"every_steps":20,"metric":"exact_match","generate":{"answer":"number","extractor":"last_number","max_tokens":2}},"checkpointing":{"load_best_at_end":true},"early_stopping":{"patience":3}'
post "$generate" '?dry_run=true'; is "$status" 200 "an estimate"; like "$body" '"fits":true' "fits"
post "$generate"; is "$status" 200 "a job"; like "$body" '"device":"cpu"' "runs on the CPU"; like "$body" '"compat":"none"' "is written out"
await succeeded "$job" 600 && ok "it succeeds" || not_ok "it succeeds" "$body"
like "$body" '"best":\{"step":[0-9]+,"valid_exact_match":1' "the best is the one that answers right"
artifact generations.jsonl; is "$(grep -c '"exact_match":true' <<< "$body")" 6 "each answer is right"
like "$body" '"index":0,"line":1,"prompt":"w10 w50 ","output":" ?w30' "and in the file"
artifact step_metrics.csv; like "$body" 'valid_exact_match' "the curve has it"
call GET "/v1/fine_tuning/jobs/$job/events?limit=100"; like "$body" 'exact match=1.0000' "events tell it"
call GET "/v1/fine_tuning/jobs/$job"; tuned=$(value fine_tuned_model)
ask() { call POST "/v1/$1" -H 'Content-Type: application/json' -d "$2"; }
ask completions "{\"model\":\"$tuned\",\"prompt\":\"w13 w53 \",\"max_tokens\":1,\"temperature\":0}"; is "$status" 200 "the adapter answers"
like "$body" '"text":" ?w31"' "as it did in training"
ask completions '{"model":"llama","prompt":"w13 w53 ","max_tokens":3,"temperature":0,"logprobs":2}'; like "$body" '"completion_tokens":[123]' "the base answers too"
ask chat/completions "{\"model\":\"$tuned\",\"messages\":[{\"role\":\"user\",\"content\":\"w12 w52\"}],\"max_tokens\":1,\"temperature\":0,\"stream\":true}"
like "$(tr -d '\n' < "$work/body")" '"content":".*"finish_reason":"length".*DONE' "and in a chat, streamed"
stop
finish
