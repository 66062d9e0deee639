#!/bin/bash
# The queue: when jobs start, their order and its changes; copies of jobs, and jobs that are deleted.
. "$(dirname "$0")/lib.sh"
REFLECT=${REFLECT:-$(dirname "$REFLECTD")/reflect}
change() { call "${3:-PATCH}" "/v1/fine_tuning/jobs/$1" -H 'Content-Type: application/json' -d "$2"; }
clone() { call POST "/v1/fine_tuning/jobs/$1/clone" -H 'Content-Type: application/json' -d "$2"; }
# order [QUERY]: sets seen to the names of the queue's jobs.
order() {
  local id name
  call GET "/v1/queue${1:-}"; seen=
  for id in $(grep -o '"id":"ftjob-[^"]*"' <<< "$body" | cut -d'"' -f4); do
    for name in "${!named[@]}"; do [[ ${named[$name]} == "$id" ]] && seen+="$name "; done
  done
}
events() { call GET "/v1/fine_tuning/jobs/$1/events?limit=100"; }
declare -A named

start --workers-max 1
upload train.jsonl
submit wait; named[running]=$job; await running
for name in a b c d; do submit train ",\"metadata\":{\"of\":\"$name\",\"old\":\"1\"}"; named[$name]=$job; done
order; is "$seen" "running a b c d " "the queue is what runs and what waits, by age"
like "$body" '"queue_position":0,"jobs_of_others_ahead":0,"expected_start":[0-9]+' "the first is expected to start when the running one ends"
order "?limit=2"; is "$seen" "running a b " "a page"; is "$(value has_more)" true "of more"
order "?limit=2&after=${named[b]}"; is "$seen" "c d " "and the next"; like "$body" '"queue_position":2' "with their positions"
call GET "/v1/fine_tuning/jobs/${named[a]}"; like "$body" '"queue_position":0,"expected_start":[0-9]+' "a job says it too"

change "${named[d]}" '{"scheduling":{"priority":5}}'; is "$status" 200 "a priority is changed"; like "$body" '"priority":5' "and shown"
order; is "$seen" "running d a b c " "and it is first"
change "${named[d]}" '{"scheduling":{"priority":0}}' POST; order; is "$seen" "running a b c d " "POST does the same"
change "${named[c]}" "{\"scheduling\":{\"before\":\"${named[a]}\"}}"; was=$status; order; is "$was $seen" "200 running c a b d " "a job is moved before another"
change "${named[d]}" '{"scheduling":{"before":"all"}}'; order; is "$seen" "running d c a b " "before all"
change "${named[d]}" '{"scheduling":{"before":null}}'; order; is "$seen" "running c a b d " "and behind all"
events "${named[d]}"; like "$body" 'Priority 5, it was 0' "its events say so"; like "$body" 'Moved behind all others' "each time"
call POST "/v1/fine_tuning/jobs/${named[d]}/pause"; change "${named[d]}" '{"scheduling":{"before":"all","priority":1}}'; call POST "/v1/fine_tuning/jobs/${named[d]}/resume"
order; is "$seen" "running d c a b " "a paused job is changed too"
change "${named[c]}" "{\"scheduling\":{\"before\":\"${named[d]}\"}}"; is "$status $(value code)" "409 job_not_waiting" "not before one of another priority"
like "$body" 'scheduling.priority can be changed with it' "and how it can be had"
change "${named[c]}" "{\"scheduling\":{\"before\":\"${named[running]}\"}}"; is "$status $(value code)" "409 job_not_waiting" "nor before one that runs"
change "${named[running]}" '{"scheduling":{"priority":9}}'; is "$status $(value code)" "409 job_not_waiting" "what runs has no place"
like "$headers" '[xX]-[sS]hould-[rR]etry: false' "which no client tries again"
change "${named[running]}" '{"display_name":"Long one","metadata":{"a":"b"}}'; is "$status $(value display_name)" "200 Long one" "but names and metadata"
change "${named[a]}" '{"metadata":{"old":null,"new":"2"}}'; like "$body" '"metadata":\{"of":"a","new":"2"\}' "metadata are merged"
call GET "/v1/fine_tuning/jobs?metadata%5Bnew%5D=2"; like "$body" "${named[a]}" "and found"
call GET "/v1/fine_tuning/jobs?metadata%5Bold%5D=1"; unlike "$body" "${named[a]}" "what was removed is not"
change "${named[a]}" '{"suffix":"renamed"}'; like "$body" '"suffix":"renamed"' "the suffix of a job that nobody has begun"
change "${named[running]}" '{"suffix":"renamed"}'; is "$status $(value code)" "409 job_not_waiting" "else it stands"
change "${named[a]}" '{"seed":5}'; is "$status $(value code)" "400 unknown_parameter" "what is trained is not changed"
change "${named[a]}" '{"scheduling":{"priority":1000}}'; is "$status $(value param)" "400 scheduling.priority" "a wrong value"
change ftjob-none '{}'; is "$status" 404 "no such job"
call GET "/v1/organization/audit_logs?limit=100"; like "$body" '"jobs.update"' "the audit log has it"

change "${named[d]}" '{"scheduling":{"priority":0,"before":"all"}}'
stop KILL; start --workers-max 1; await running "${named[d]}"
order; is "$seen" "d running c a b " "the order outlives the daemon"

call POST "/v1/fine_tuning/jobs/${named[running]}/cancel"
call DELETE "/v1/fine_tuning/jobs/${named[d]}"; is "$status $(value code)" "409 job_not_finished" "a job that runs is not deleted"
for name in d c a b; do await succeeded "${named[$name]}" 200; done; await succeeded "${named[c]}" && ok "all end" || not_ok "all end" "$body"

# ---- copies ----
clone "${named[c]}" '{"seed":9,"metadata":{"old":null},"display_name":"Copy"}'; copy=$(value id)
is "$status $(value cloned_from) $(value seed) $(value display_name)" "200 ${named[c]} 9 Copy" "a clone differs in what it was told"
like "$body" '"metadata":\{"of":"c"\}' "its metadata are merged"; like "$body" '"suffix":"train"' "all else is the same"
clone "${named[c]}" '{"adapter":{"peft_type":"LORA","r":4}}'; like "$body" '"peft_type":"LORA"' "another method"; lora=$(value id)
clone "${named[c]}" '{"adapter":{"r":-1}}'; is "$status" 400 "what is wrong is refused as in a new job"
call POST "/v1/fine_tuning/jobs/${named[c]}/clone"; is "$status" 200 "a clone with nothing to differ"; same=$(value id)
call POST "/v1/fine_tuning/jobs/${named[c]}/clone" -H 'Idempotency-Key: k' -H 'Content-Type: application/json' -d '{}'; first=$(value id)
call POST "/v1/fine_tuning/jobs/${named[c]}/clone" -H 'Idempotency-Key: k' -H 'Content-Type: application/json' -d '{}'; is "$(value id)" "$first" "sent twice it is made once"
call POST "/v1/fine_tuning/jobs/${named[a]}/clone" -H 'Idempotency-Key: k' -H 'Content-Type: application/json' -d '{}'; is "$status" 422 "but not of another job"
for id in "$copy" "$lora" "$same" "$first"; do call POST "/v1/fine_tuning/jobs/$id/cancel"; done

# ---- deleting ----
submit wait ",\"from_checkpoint\":\"${named[c]}\""; needs=$job; await running
call DELETE "/v1/fine_tuning/jobs/${named[c]}"; is "$status $(value code)" "409 job_in_use" "what another job starts from stays"
call GET "/v1/fine_tuning/jobs/${named[c]}"; model=$(value fine_tuned_model)
call DELETE "/v1/models/$model"; is "$status $(value code)" "409 model_in_use" "and so does its model"; like "$body" "$needs starts from" "which names that job"
call GET "/v1/fine_tuning/jobs/${named[c]}/checkpoints"; ckpt=$(value id) at=$(value fine_tuned_model_checkpoint)
call POST "/v1/fine_tuning/jobs/$needs/cancel"; await cancelled "$needs"
submit wait; await running; holds=$job; submit wait ",\"from_checkpoint\":\"$ckpt\""; starts=$job
call DELETE "/v1/models/$at"; is "$status $(value code)" "409 model_in_use" "a checkpoint that a queued job starts from stays"
call POST "/v1/fine_tuning/jobs/$starts/pause"; call DELETE "/v1/models/$model"; is "$status $(value code)" "409 model_in_use" "with its model, for a paused job too"
call POST "/v1/fine_tuning/jobs/$starts/cancel"; call POST "/v1/fine_tuning/jobs/$holds/cancel"; await cancelled "$holds"
call DELETE "/v1/models/$at"; is "$status $(value deleted)" "200 true" "then it is deleted"
call DELETE "/v1/fine_tuning/jobs/${named[c]}"; is "$status $(value deleted)" "200 true" "a job is deleted"
call GET "/v1/fine_tuning/jobs/${named[c]}"; is "$status" 404 "and gone"; events "${named[c]}"; is "$status" 404 "with its events"
call GET /v1/models; unlike "$body" "${named[c]: -8}" "and its model"
for _ in {1..50}; do [[ -e $work/data/jobs/${named[c]} ]] || break; sleep 0.1; done
[[ -e $work/data/jobs/${named[c]} ]] && not_ok "and its bytes" || ok "and its bytes"
call DELETE "/v1/fine_tuning/jobs/$needs"; is "$status" 200 "one that was cancelled"

# ---- the command line ----
export REFLECT_URL=$url
submit wait; named[running]=$job; await running
submit train; named[a]=$job; submit train; named[b]=$job
"$REFLECT" jobs set "${named[b]}" --before all --display-name 'The first' > "$work/out" 2>&1 && ok "reflect jobs set" || not_ok "reflect jobs set" "$(< "$work/out")"
like "$("$REFLECT" queue)" "AHEAD.*${named[running]} +running.*${named[b]} +queued +0 +0 .*The first.*${named[a]} +queued +0 +1 " "reflect queue"
"$REFLECT" jobs set "${named[a]}" --priority 3 --metadata x=y > "$work/out"; order; is "$seen" "running a b " "reflect jobs set --priority"
copy=$("$REFLECT" jobs clone "${named[a]}" --seed 4); call GET "/v1/fine_tuning/jobs/$copy"; is "$(value cloned_from) $(value seed)" "${named[a]} 4" "reflect jobs clone"
"$REFLECT" jobs cancel "$copy" > "$work/out"; "$REFLECT" jobs delete "$copy" > "$work/out"; like "$(< "$work/out")" 'deleted: true' "reflect jobs delete"
"$REFLECT" jobs set "${named[a]}" > "$work/out" 2>&1; is "$?" 2 "nothing to set is wrong usage"
stop
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" && ok "the data folder is in order" || not_ok "the data folder is in order" "$(< "$work/fsck")"
finish
