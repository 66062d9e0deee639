#!/bin/bash
# Jobs that run in parallel share a budget of memory and cores: who does not fit waits, says for what, and is overtaken by
# nobody; a model that nobody asks makes room, one that is asked does not; what never fits fails. With a worker that stands
# in: the suffix needs-N takes N MiB until it is told to end. What a real worker plans: test_estimate.sh.
. "$(dirname "$0")/lib.sh"
get() { call GET "/v1/fine_tuning/jobs/$1"; }
# waits JOB WHAT TITLE
waits() { local n=50; while get "$1"; [[ "$(value status) $(value waiting_for)" != "queued $2" ]] && ((n-- > 0)); do sleep 0.1; done; is "$(value status) $(value waiting_for)" "queued $2" "$3"; }
runs() { await running "$1" && ok "$2" || not_ok "$2" "$body"; }
stays() { sleep 1.3; get "$1"; is "$(value status)" queued "$2"; } # longer than the scheduler looks away
cancel() { for id in "$@"; do call POST "/v1/fine_tuning/jobs/$id/cancel"; await cancelled "$id"; done; }
of() { submit "$1" "${2:-}"; eval "$3=$job"; }
metric() { call GET /metrics; sed -n "s/^reflectd_budget_$1 //p" <<< "$body"; }
chat() { call POST /v1/chat/completions -H 'Content-Type: application/json' -d "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"$1\"}]${2:-}}"; }

# ---- memory ----
start --workers-max 3 --memory-budget-mib 1000 --core-budget 8 --threads 1
upload train.jsonl
call GET /v1/capabilities; like "$body" '"memory_budget_mib":1000,"core_budget":8' "a client can see the budget"
of needs-600 "" a; runs "$a" "the first starts at once"; is "$(value waiting_for)" null "it waits for nothing"
of needs-300 "" b; runs "$b" "one that fits beside it runs in parallel"
is "$(metric memory_bytes) $(metric 'memory_used_bytes{state="busy"}')" "1048576000 943718400" "the metrics say what they take of how much"
is "$(metric cores) $(metric cores_used)" "8 2" "and of the cores"
of needs-401 "" c; waits "$c" memory "one that does not waits for memory, though a place is free"
of needs-50 "" d; stays "$d" "a small one behind it would fit, and does not overtake it"; is "$(value waiting_for)" slot "it waits for its turn"
call GET /v1/queue; like "$body" "$c\"[^}]*\"waiting_for\":\"memory\"\\}.*$d\"[^}]*\"waiting_for\":\"slot\"\\}" "the queue says it too"
"$(dirname "$REFLECTD")/reflect" --url "$url" queue > "$work/out"; like "$(< "$work/out")" 'WAITS FOR' "so does the command"; like "$(grep "$c" "$work/out")" ' memory ' "of the one"; unlike "$(grep "$d" "$work/out")" 'slot' "and not of those that wait for their turn"
cancel "$b"; stays "$c" "room that is too small changes nothing"
cancel "$a"; runs "$c" "when there is enough it starts"; is "$(value waiting_for)" null "and waits no more"
runs "$d" "and the small one behind it"

# ---- priority, and what runs again ----
of needs-900 ',"scheduling":{"priority":5}' e; waits "$e" memory "a large one of higher priority waits"
of needs-10 ',"scheduling":{"priority":4}' f; stays "$f" "and holds the others, too"
call PATCH "/v1/fine_tuning/jobs/$f" -H 'Content-Type: application/json' -d '{"scheduling":{"priority":6}}'
runs "$f" "one that goes before it starts"
stop KILL; start --workers-max 3 --memory-budget-mib 1000 --core-budget 8 --threads 1
runs "$e" "the daemon died: what it knew of them stands, the first starts"
waits "$c" memory "and the others wait as before"
cancel "$c" "$d" "$e" "$f"

# ---- what never fits, and what nobody can say ----
of needs-700 "" a; runs "$a" "something runs"
of needs-1001 "" b; await failed "$b" && ok "a job that can never fit fails" || not_ok "a job that can never fit fails" "$body"
like "$body" '"error":\{"code":"out_of_memory","message":"the job takes 1001 MiB of memory, and this server.s memory_budget_mib is 1000 MiB. A smaller batch_size or max_seq_length needs less.",' "and says why, and what to lower"
call GET "/v1/fine_tuning/jobs/$b/events"; like "$body" 'memory_budget_mib is 1000 MiB' "its events say it"
of unplanned "" c; waits "$c" memory "one that cannot be planned waits until it is alone"
told() { call GET "/v1/fine_tuning/jobs/$c/events"; [[ $body == *'could not be planned'* ]]; }; soon told
like "$body" '"level":"warn","message":"The memory that the job takes could not be planned \(the job has one step\): it will run alone"' "its events say why"
is "$(grep -o 'could not be planned' <<< "$body" | wc -l)" 1 "once"
of needs-1 "" d; stays "$d" "and nobody overtakes it"
cancel "$a"; runs "$c" "then it runs"; stays "$d" "alone"
cancel "$c"; runs "$d" "until it ends"; cancel "$d"

# ---- a model that is held ----
stop; start --workers-max 2 --memory-budget-mib 1000 --core-budget 8 --threads 1 --serving-memory-mib 400 --serving-idle-s 600
chat hi; is "$status" 200 "a model is asked"
is "$(metric 'memory_used_bytes{state="idle"}')" "$((401 << 20))" "it is held, and idle"
of needs-500 "" a; runs "$a" "a job that fits beside it runs"; is "$(metric 'memory_used_bytes{state="idle"}')" "$((401 << 20))" "and lets it be"
of needs-300 "" b; runs "$b" "one that does not ends it"
is "$(metric 'memory_used_bytes{state="idle"}') $(metric 'memory_used_bytes{state="busy"}')" "0 $((800 << 20))" "it is gone"
chat hi; is "$status $(value code)" "503 not_ready" "it does not come back beside them"
like "$body" 'holding tiny takes 401 MiB of memory, and of the 1000 MiB that this server has for models and jobs \(memory_budget_mib\) 800 MiB are taken' "and says why"
cancel "$b"; chat hi; is "$status" 200 "with room it does"
cancel "$a"; curl -sN -X POST "$url/v1/chat/completions" -H 'Content-Type: application/json' -d '{"model":"tiny","stream":true,"messages":[{"role":"user","content":"forever"}]}' > "$work/stream" & asks=$!
for _ in {1..50}; do grep -q more "$work/stream" && break; sleep 0.1; done
of needs-700 "" a; waits "$a" memory "one that is asked something is not ended"
kill "$asks"; wait "$asks" 2> /dev/null; runs "$a" "when nobody asks any more it is"; cancel "$a"

# ---- cores ----
stop; start --workers-max 3 --memory-budget-mib 1000 --core-budget 3 --threads 3
of needs-10 ',"scheduling":{"threads":2}' a; runs "$a" "two of three cores"
of needs-10 ',"scheduling":{"threads":2}' b; waits "$b" cores "two more are too many"
of needs-10 ',"scheduling":{"threads":1}' c; stays "$c" "nobody overtakes it"
"$(dirname "$REFLECTD")/reflect" --url "$url" jobs get "$b" > "$work/out" 2>&1; like "$(< "$work/out")" 'cores' "the command says what it waits for"
cancel "$a"; runs "$b" "then they are free"; runs "$c" "and one more"
cancel "$b" "$c"; stop
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" && ok "the data folder is in order" || not_ok "the data folder is in order" "$(< "$work/fsck")"
finish
