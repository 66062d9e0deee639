#!/bin/bash
# A job's events as they happen, and its metrics as series: nothing lost, nothing twice, whatever ends a stream.
. "$(dirname "$0")/lib.sh"
start --workers-max 3 --request-timeout-s 2 --streams-max 6
# listen FILE JOB [CURL OPTION...]: follows the events in the background; sets listener to its process.
listen() { local file=$work/$1 path=/v1/fine_tuning/jobs/$2/events?stream=true; shift 2
  curl -sSN --max-time 40 -D "$file.head" "$url$path" "$@" > "$file" 2> "$file.err" & listener=$!; }
ids() { sed -n 's/^id: //p' "$work/$1" | tr '\n' ' '; }
# listed: the ids of the job's events in their order.
listed() { call GET "/v1/fine_tuning/jobs/$job/events?limit=1000"; grep -o '"ftevent-[0-9]*","object"' <<< "$body" | tr -dc '0-9\n' | tac | tr '\n' ' '; }
statuses() { grep -A1 '^event: status' "$work/$1" | grep -o '"status":"[a-z_]*"' | cut -d'"' -f4 | uniq | tr '\n' ' '; }
until_has() { for _ in {1..100}; do grep -q "$2" "$work/$1" 2>/dev/null && return; sleep 0.1; done; not_ok "$1 has $2" "$(tail -c 300 "$work/$1")"; }

upload train.jsonl
submit silent; quiet=$job; listen quiet "$quiet"; calm=$listener
submit train; listen whole "$job"; first=$listener
until_has whole 'step 5'
until_has whole '^event: status'; at=$(ids whole | awk '{ print $4 }')
listen again "$job" -H "Last-Event-ID: $at"; second=$listener
curl -sSN --max-time 1 "$url/v1/fine_tuning/jobs/$job/events?stream=true" > "$work/part" 2>/dev/null
at=$(ids part | awk '{ print $NF }'); listen rest "$job" -H "Last-Event-ID: $at"; third=$listener
call POST "/v1/fine_tuning/jobs/$job/pause"; await paused; until_has whole '"status":"paused"'
call POST "/v1/fine_tuning/jobs/$job/resume"
wait "$first"; is $? 0 "the stream ends by itself"
wait "$second" "$third"
like "$(< "$work/whole.head")" 'text/event-stream' "its type"; like "$(< "$work/whole.head")" 'X-Accel-Buffering: no' "no proxy keeps it back"
is "$(head -1 "$work/whole")" 'retry: 3000' "how long to wait before asking again"
is "$(ids whole)" "$(listed)end " "every event once, in order, as the list has them"
is "$(ids again)" "$(listed | cut -d' ' -f5-)end " "after Last-Event-ID what comes after it"
is "$(ids part)$(ids rest)" "$(listed)end " "a stream that broke off and went on has the same"
like "$(statuses whole)" '^(queued )?running paused (queued )?running succeeded $' "each change of the status"
is "$(grep -c '^event: checkpoint' "$work/whole")" 5 "checkpoints"
like "$(tail -4 "$work/whole")" 'event: end.data: \{"job_id":"'"$job"'","status":"succeeded"\}' "the end"
is "$(grep -c '^event: metrics' "$work/whole")" 40 "each step once, though it ran in two pieces"
[[ $(grep -c '^event: progress' "$work/whole") -gt 2 ]] && ok "progress" || not_ok "progress"

call GET "/v1/fine_tuning/jobs/$job/metrics"
like "$body" "\"steps\":\[$(seq -s, 1 40)\]" "a series has each step once"
like "$body" '"name":"train_loss","kind":"train","unit":null,"count":40,' "its kind and how many points"
whole=$body; call GET "/v1/fine_tuning/jobs/$job/metrics?from_step=10&to_step=12&names=train_loss,valid_loss"
like "$body" '"steps":\[10,11,12\].*"name":"valid_loss","kind":"validation","unit":null,"count":0' "some steps of some series"
call GET "/v1/fine_tuning/jobs/$job/metrics?max_points=6&names=train_loss"
steps=$(sed 's/.*"steps":\[\([^]]*\)\].*/\1/' <<< "$body") values=,$(sed 's/.*"values":\[\([^]]*\)\].*/\1/' <<< "$body"),
is "$(tr -dc , <<< "$steps" | wc -c) ${steps%%,*} ${steps##*,}" "5 1 40" "six points, with both ends"
like "$values" ",$(value min)(\.0)?,.*" "the least stays"; like "$values" ",$(value max)(\.0)?," "the greatest stays"
call GET "/v1/fine_tuning/jobs/$job/metrics?names=train_loss" -H 'Accept: text/csv'
is "$(head -2 "$work/body" | tr '\r\n' ' ')" "step,train_loss  1,31  " "as CSV"; like "$headers" 'Content-Type: text/csv' "by Accept"
call GET "/v1/fine_tuning/jobs/$job/metrics?format=xml"; is "$(value param)" format "a format that is none"
call GET "/v1/fine_tuning/jobs/$job/metrics?from_step=5&to_step=4"; is "$(value param)" to_step "a range that is none"
call GET /v1/fine_tuning/jobs/ftjob-none/metrics; is "$status" 404 "no such job"

call GET "/v1/fine_tuning/jobs/$job/telemetry"
is "$body" "{\"object\":\"fine_tuning.job.telemetry\",\"job_id\":\"$job\",\"status\":\"succeeded\",\"has_more\":false,\"steps\":[10,20,30,40],\"modules\":[{\"name\":\"a.query\",\"angle\":[0.1,0.2,0.3,0.4],\"defect\":[0.5,0.5,0.5,0.5]},{\"name\":\"a.value\",\"angle\":[null,null,null,null],\"defect\":[1,1,1,1]}]}" "telemetry by module"
call GET "/v1/fine_tuning/jobs/$job/telemetry?from_step=21"; like "$body" '"steps":\[30,40\],"modules":\[\{"name":"a.query","angle":\[0.3,0.4\]' "from a step on"
call GET "/v1/fine_tuning/jobs/$job/telemetry?from_step=41"; like "$body" '"steps":\[\],"modules":\[\]' "none yet"
call GET "/v1/fine_tuning/jobs/$job/telemetry?from_step=x"; is "$status $(value param)" "400 from_step" "a step that is none"
call GET /v1/fine_tuning/jobs/ftjob-none/telemetry; is "$status" 404 "of no such job"

call GET "/v1/fine_tuning/jobs/$job/events?stream=true" -H 'Last-Event-ID: end'; is "$status" 204 "after the end there is nothing"
call GET "/v1/fine_tuning/jobs/$job/events?stream=true&after=ftevent-999999"; is "$(value code)" invalid_cursor "after an event that is none"
call GET "/v1/fine_tuning/jobs/$job/events?stream=true&after=x"; is "$(value code)" invalid_cursor "after what is no id"
call GET "/v1/fine_tuning/jobs/$job/events?stream=true" -H 'Last-Event-ID: 999999'; is "$(ids body)" "$(listed)end " "a store that knows no such id tells everything"
call GET "/v1/fine_tuning/jobs/$job/events?stream=true&limit=3"; is "$(value param)" limit "a stream has no limit"
call GET "/v1/fine_tuning/jobs/$job/events?stream=maybe"; is "$(value param)" stream "yes or no"
call GET /v1/fine_tuning/jobs/ftjob-none/events?stream=true; is "$status" 404 "no such job to listen to"
status=$(curl -sS -I -o /dev/null --max-time 5 -w '%{http_code}' "$url/v1/fine_tuning/jobs/$quiet/events?stream=true"); is "$status" 200 "HEAD ends"

submit crashing; listen crashing "$job"; wait "$listener"
is "$(ids crashing)" "$(listed)end " "a job whose worker dies is followed to its end"
submit train; curl -sSN --max-time 40 "$url/v1/fine_tuning/jobs/$job/logs?follow=true" > "$work/followed" & follower=$!
wait "$follower"; is "$?" 0 "a log that is followed ends with the job"; await succeeded
call GET "/v1/fine_tuning/jobs/$job/logs"; is "$(< "$work/followed")" "$body" "and is the whole log"; like "$body" "goes on from step 0" "with what the worker wrote"
call GET "/v1/fine_tuning/jobs/$job/logs?tail=1"; is "$body" "$(tail -1 "$work/followed")" "its last line"
call GET "/v1/fine_tuning/jobs/$job/logs?tail=0"; is "$status$body" 200 "none"; call GET "/v1/fine_tuning/jobs/$job/logs?tail=-1"; is "$(value param)" tail "less than none"
is "$("${REFLECTD%d}" --url "$url" jobs logs "$job" --follow --tail 2 | wc -l)" 2 "by the command line"
submit long; listen long "$job"; until_has long '^event: metrics'; call POST "/v1/fine_tuning/jobs/$job/cancel"; wait "$listener"
is "$? $(statuses long | awk '{ print $NF }')" "0 cancelled" "a cancelled job's stream ends"

submit long; for n in 1 2 3 4 5; do listen "many$n" "$job"; done; until_has many5 '^event: metrics'
call GET "/v1/fine_tuning/jobs/$job/events?stream=true"; is "$status $(value code)" "503 server_overloaded" "no more streams than are allowed"
kill "$listener"; wait "$listener" 2>/dev/null
for _ in {1..30}; do call GET "/v1/fine_tuning/jobs/$quiet/events?stream=true&after=" --max-time 0.3; [[ $status == 200 ]] && break; sleep 0.1; done
is "$status" 200 "one that left makes room"
call GET /livez; is "$status" 200 "and all else is answered"
for _ in {1..160}; do grep -q keep-alive "$work/quiet" && break; sleep 0.1; done
is "$(grep -c '^: keep-alive' "$work/quiet")" 1 "a quiet stream lives on, and says so"

key=$("$REFLECTD" keys create --name one --scope read --data "$work/data" 2> "$work/said"); id=$(cut -d' ' -f4 "$work/said")
wait "$calm"; is "$?" 0 "where there is a key now, nobody listens without one"; unlike "$(< "$work/quiet")" 'event: end' "which is no end of the job"
listen keyed "$job" -H "Authorization: Bearer $key"; until_has keyed '^event: metrics'
"$REFLECTD" keys revoke "$id" --data "$work/data" > /dev/null || not_ok "revoke" "$id"
wait "$listener"; is "$?" 0 "a key that was revoked hears no more"
key=$("$REFLECTD" keys create --name two --scope read --data "$work/data" 2> /dev/null)
listen drained "$job" -H "Authorization: Bearer $key"; until_has drained '^event: metrics'
stop; is "$code" 0 "SIGTERM ends the daemon"; wait "$listener"; is "$?" 0 "and its streams"
unlike "$(< "$work/drained")" 'event: end' "which may be gone on with"
finish
