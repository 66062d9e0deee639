#!/bin/bash
# What a job would take, before there is one: the real worker's plan is what the job then does; what only training would
# find out is refused; nothing is stored. Then the ways of the answer, with a worker that plays them.
. "$(dirname "$0")/lib.sh"
golden_model bert-hra
reflect=$(dirname "$REFLECTD")/reflect
start_real
estimate() { call POST "${2:-/v1/fine_tuning/estimate}" -H 'Content-Type: application/json' -d "{\"model\":\"bert\",\"training_file\":\"$file\",\"validation_file\":\"$file\",\"seed\":1$1}"; }

upload train.csv "$(echo text,label; for i in {1..30}; do echo "w$i w$((i % 9)) w3,l$((i % 2))"; done)"
four=',"hyperparameters":{"n_epochs":2,"batch_size":8}'
estimate "$four"; is "$status" 200 "an estimate"
like "$body" '"fits":true.*"reason":null.*"queue_wait_seconds":0,"warnings":\[".*a new head starts at random' "of a job that fits and need not wait"
steps=$(value steps) tokens=$(value tokens) memory=$(value peak_memory_bytes)
is "$steps $(value examples) $tokens $(value evaluations)" "8 60 300 3" "knows its steps, examples, tokens and evaluations"
like "$body" '"duration_seconds":\{"low":[0-9.e-]+,"high":[0-9.]+\},"measured":\{"batches":[1-9]' "and how long it takes, by batches that ran"
first=$body
estimate "$four" '/v1/fine_tuning/jobs?dry_run=true'; is "$body" "$first" "a dry run is the same, and is not worked out again"
call GET /v1/fine_tuning/jobs; like "$body" '"data":\[\]' "there is no job"
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"bert\",\"training_file\":\"$file\",\"validation_file\":\"$file\",\"seed\":1$four}"; job=$(value id)
await succeeded "$job" 300; is "$(value total_steps) $(value trained_tokens)" "$steps $tokens" "the job does what was estimated"
like "$body" "\"estimate\":\{\"steps\":8,.*\"peak_memory_bytes\":$memory,.*\"actual\":\{\"duration_seconds\":[0-9]+,\"peak_memory_bytes\":[1-9][0-9]+,\"tokens\":300\}" "and shows what it took beside that"
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"bert\",\"training_file\":\"$file\",\"seed\":2$four}"; job=$(value id)
await succeeded "$job" 300; like "$body" '"estimate":\{"steps":8,.*"actual":\{' "a job for which nobody asked says so itself"
estimate ',"hyperparameters":{"n_epochs":1,"batch_size":100,"warmup_steps":5}'
is "$status $(value code) $(value param)" "400 invalid_value warmup_steps" "what training would refuse is refused"
estimate ',"hyperparameters":{"batch_size":8},"scheduling":{"memory_limit":5}'
like "$status $body" '^200 .*"fits":false,"reason":"memory_limit is 5 MiB; this job needs .*"lower":\["batch_size","max_seq_length"\]' "a job that does not fit, why, and what to lower"
estimate ',"adapter":{"r":0}'; is "$status $(value param)" "400 adapter.r" "a body that is wrong is told as when a job is created"
out=$("$reflect" --url "$url" jobs estimate --model bert --file "$file" --epochs 2 --batch 8 2> /dev/null); like "$? $out" $'^0 fits +yes\nlearns +classification\nsteps +8\n' "the command line shows it"
out=$("$reflect" --url "$url" jobs create --dry-run --model bert --file "$file" --memory-limit 5 2> /dev/null); like "$? $out" $'^1 fits +no
reason +memory_limit is 5 MiB' "and says by its status that a job does not fit"

# ---- what only the opened model tells is told when a job is created ----
refused() { # ADAPTER PARAM CODE TEXT NAME
  call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"bert\",\"training_file\":\"$file\",\"adapter\":{$1}}"
  is "$status $(value code) $(value param)" "400 $3 $2" "$5"; like "$body" "$4" "and says why"
}
call GET /v1/fine_tuning/jobs; stored=$(grep -o '"object":"fine_tuning.job"' <<< "$body" | wc -l)
refused '"target_modules":".*[.]quarry"' adapter.target_modules unsupported_target_module 'quarry' "a pattern that no module matches"
refused '"target_modules":["bert.encoder.layer.7.attention.self.query"]' adapter.target_modules unsupported_target_module 'layer.7' "a path that the model has not"
refused '"exclude_modules":["querry"]' adapter.exclude_modules unsupported_target_module 'querry' "an exclusion of nothing"
refused '"layers_to_transform":[99]' adapter.layers_to_transform unsupported_target_module '99' "a layer that the model has not"
refused '"peft_type":"LORA","rank_pattern":{"querry":4}' adapter.rank_pattern unsupported_target_module 'querry' "a key of a pattern map that no module matches"
refused '"peft_type":"LORA","trainable_token_indices":[5]' adapter.trainable_token_indices unsupported_target_module 'is for decoders' "an embedding that stays frozen"
refused '"modules_to_save":["lm_head"]' adapter.modules_to_save unsupported_target_module 'lm_head' "a module to save that the model has not"
call GET /v1/fine_tuning/jobs; is "$(grep -o '"object":"fine_tuning.job"' <<< "$body" | wc -l)" "$stored" "nothing was stored"
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"bert\",\"training_file\":\"$file\",\"adapter\":{\"target_modules\":\".*[.]query\",\"modules_to_save\":[\"classifier\"]}}"
is "$status $(value status)" "200 queued" "what the model has is accepted"; job=$(value id); await succeeded "$job" 300 && ok "and trained" || not_ok "and trained" "$body"
stop; is "$code" 0 "exit 0"

# ---- a budget, with real plans ----
start_real --workers-max 2 --memory-budget-mib 8
estimate "$four"; like "$status $body" '^200 .*"fits":false,"reason":"the job takes [0-9]+ MiB of memory, and this server.s memory_budget_mib is 8 MiB' "an estimate knows the server's budget"
create() { call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"bert\",\"training_file\":\"$file\",\"validation_file\":\"$file\",\"seed\":$1,\"hyperparameters\":{\"n_epochs\":100,\"batch_size\":8}}"; job=$(value id); }
call GET /v1/fine_tuning/jobs; stored=$(grep -o '"object":"fine_tuning.job"' <<< "$body" | wc -l)
create 3; like "$status $body" '^400 .*"message":"the job takes [0-9]+ MiB of memory, and this server.s memory_budget_mib is 8 MiB. A batch_size smaller than 8 or a smaller max_seq_length needs less.","type":"invalid_request_error","param":"batch_size"' "a job that can never fit is refused when it is created"
call POST /v1/fine_tuning/sweeps -H 'Content-Type: application/json' -d "{\"job\":{\"model\":\"bert\",\"training_file\":\"$file\",\"hyperparameters\":{\"batch_size\":8}},\"grid\":{\"seed\":[1,2]}}"
like "$status $body" '^400 .*job 1 of 2 \(.*the job takes [0-9]+ MiB' "so is a sweep of such jobs"
call GET /v1/fine_tuning/jobs; is "$(grep -o '"object":"fine_tuning.job"' <<< "$body" | wc -l)" "$stored" "nothing was stored"
needs=$((memory / 1048576 + 3)) # each process has a little more or less
stop; start_real --workers-max 2 --memory-budget-mib $((needs * 3 / 2))
create 4; one=$job; await running "$one" 100; create 5; two=$job
for _ in {1..200}; do call GET /metrics; [[ $body == *'memory_used_bytes{state="busy"} 0'* ]] || break; sleep 0.05; done
used=$(sed -n 's/^reflectd_budget_memory_used_bytes{state="busy"} //p' <<< "$body")
((used > 0 && used / 1048576 <= needs)) && ok "what the first one planned is counted" || not_ok "what the first one planned is counted" "$used of $memory"
call GET "/v1/fine_tuning/jobs/$two"; is "$(value status) $(value waiting_for)" "queued memory" "a second one does not fit beside it"
call GET "/v1/fine_tuning/jobs/$two/events"; unlike "$body" 'could not be planned' "whose memory a worker could plan"
call POST "/v1/fine_tuning/jobs/$one/cancel"; await running "$two" 100 && ok "then it runs" || not_ok "then it runs" "$body"
call POST "/v1/fine_tuning/jobs/$two/cancel"; await cancelled "$two"; stop

rm -r "$work/data"; start --upload-check-wait-ms 3000; upload train.jsonl
ask() { call POST /v1/fine_tuning/estimate -H 'Content-Type: application/json' -d "{\"model\":\"tiny\",\"training_file\":\"$file\",\"suffix\":\"$1\"}"; }
ask ok; like "$status $body" '^200 .*"steps":8,.*"tokens":null,.*"warnings":\["a doubt"\]' "what the worker told besides"
ask wrong; is "$status $(value code) $(value param)" "400 invalid_value warmup_steps" "its refusal"
ask crash; is "$status $(value code)" "500 worker_crashed" "a worker that dies"
for i in 1 2 3; do curl -s -o "$work/answer$i" "$url/v1/fine_tuning/estimate" -H 'Content-Type: application/json' -d "{\"model\":\"tiny\",\"training_file\":\"$file\",\"suffix\":\"slow\"}" & waits+=($!); done
wait "${waits[@]}"; cmp -s "$work/answer1" "$work/answer2" && cmp -s "$work/answer2" "$work/answer3" && ok "all who ask wait for one answer" || not_ok "all who ask wait for one answer"
upload slow.jsonl; ask ok; is "$status" 200 "a file that is still checked is waited for"
submit wait; await running; for _ in {1..50}; do call GET "/v1/fine_tuning/jobs/$job"; [[ $body == *'"seconds_remaining":50'* ]] && break; sleep 0.1; done; sleep 1.1
ask ok; like "$body" '"queue_wait_seconds":(49|5[01]),' "where a job runs, the queue's forecast says how long one more would wait"
submit wait; sleep 1.1; ask ok; like "$body" '"queue_wait_seconds":(9[5-9]|10[0-9]),' "and behind one that waits twice as long"
call POST '/v1/fine_tuning/jobs?dry_run=perhaps' -H 'Content-Type: application/json' -d '{}'; is "$status $(value param)" "400 dry_run" "a dry run is true or false"
curl -s -o /dev/null "$url/v1/fine_tuning/estimate" -H 'Content-Type: application/json' -d "{\"model\":\"tiny\",\"training_file\":\"$file\",\"suffix\":\"slow\"}" & sleep 0.2
stop; is "$code" 0 "exit 0, also while somebody waits"
finish
