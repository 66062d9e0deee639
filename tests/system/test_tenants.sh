#!/bin/bash
# Tenants see nothing of each other: every route of the OpenAPI document with every method and every id of another's is
# answered as with an id that was never there. Keys live and die, scopes and limits hold, and what was changed is in the
# audit log.
. "$(dirname "$0")/lib.sh"

keys() { "$REFLECTD" keys "$@" --data "$work/data" 2> "$work/said"; }
# as KEY [CURL OPTION...]: who `ask` asks as.
as() { who=(-H "Authorization: Bearer $1" "${@:2}"); }
ask() { call "$1" "$2" "${who[@]}" "${@:3}"; }
json=(-H 'Content-Type: application/json')
create() { ask POST /v1/fine_tuning/jobs "${json[@]}" -d "{\"model\":\"tiny\",\"training_file\":\"$file\"$1}"; job=$(value id); }
put() { printf '%s\n' '{"text":"good","label":"a"}' > "$work/$1"; ask POST /v1/files -F purpose=fine-tune -F "file=@$work/$1"; file=$(value id); }
# reach STATE: polls until $job has it.
reach() {
  for _ in {1..100}; do ask GET "/v1/fine_tuning/jobs/$job"; [[ $body == *"\"status\":\"$1\""* ]] && return; sleep 0.1; done
  not_ok "a job is $1" "$body"
}
# answers: what is the same in two answers that differ by an id; $1 is the id.
answers() { printf '%s\n%s\n%s' "$status" "${body//"$1"/ID}" "$(grep -viE '^(date|x-request-id|openai-processing-ms|content-length):' <<< "$headers")"; }
members() { awk -f "$here/members.awk" -v "path=$1" "$work/openapi"; }

# ---- nobody has a key: everybody is the operator ----
acme=$(keys create --name acme --tenant acme) # before the daemon has ever run
is "$(keys list | wc -l)" 2 "a key is made on an empty folder"; rm -rf "$work/data"
start --workers-max 3
call GET /v1/files; is "$status" 200 "without any key nobody needs one"
call GET /v1/files -H 'Authorization: Bearer none'; is "$status" 200 "and one that is sent is no matter"
operator=$(keys create --name operator --scope admin); like "$operator" '^rfd_[0-9A-Za-z]{8}_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}$' "a key is made beside the daemon"
like "$(< "$work/said")" 'shown this once' "and shown once"
call GET /v1/files; is "$status $(value code)" "401 invalid_api_key" "from then on one is needed"
as "$operator"; ask GET /v1/files; is "$status" 200 "and this one does"

# ---- two tenants ----
acme=$(keys create --name train --tenant acme) beta=$(keys create --name other --tenant beta)
beta_admin=$(keys create --name boss --tenant beta --scope admin) reader=$(keys create --name look --tenant acme --scope read)
as "$acme"; put train.jsonl; data=$file
printf x > "$work/a.tar.gz"; ask POST /v1/files -F purpose=fine-tune -F "file=@$work/a.tar.gz"; archive=$(value id)
create ',"suffix":"ok","metadata":{"team":"red"}'; reach succeeded; done_job=$job name=$(value fine_tuned_model)
result=$(sed -E 's/.*"result_files":\["([^"]*)".*/\1/' <<< "$body")
ask GET "/v1/fine_tuning/jobs/$done_job/checkpoints"; checkpoint=$(value id) checkpoint_name=$(value fine_tuned_model_checkpoint)
ask GET "/v1/fine_tuning/jobs/$done_job/events"; event=$(value id)
create ',"suffix":"wait"'; reach running; running_job=$job
secret=${acme:13:32} environ=$(tr '\0' '\n' < "/proc/$(pgrep -P "$pid" | tail -1)/environ")
like "$environ" 'PATH=' "a worker has an environment"; unlike "$environ" "$secret" "no key is in it"
as "$operator" -H 'X-Reflectd-Tenant: acme'
ask GET /v1/organization/admin_api_keys; key_id=$(value id); is "$status $key_id" "200 ${reader:4:8}" "the operator names another tenant"
ask GET /v1/organization/audit_logs; entry=$(value id); is "$status" 200 "and sees its audit log"
ask GET "/v1/fine_tuning/jobs/$done_job"; is "$status" 200 "and its jobs"
as "$operator" -H 'X-Reflectd-Tenant: nobody'; ask GET /v1/files; is "$status $(value code)" "404 tenant_not_found" "one that is not there is told"
as "$beta_admin" -H 'X-Reflectd-Tenant: acme'; ask GET /v1/files; is "$status $(value code)" "403 insufficient_scope" "nobody else may"

# ---- every route with every id ----
as "$acme"; ask POST /v1/fine_tuning/sweeps "${json[@]}" -d "{\"job\":{\"model\":\"tiny\",\"training_file\":\"$file\",\"suffix\":\"ok\"},\"grid\":{\"seed\":[1,2]}}"; sweep=$(value id)
as "$beta"; put train.jsonl; own=$file; create ',"suffix":"ok"'; reach succeeded; own_job=$job
call GET /openapi.json; printf '%s' "$body" > "$work/openapi"
absent() { # of the same kind and length
  case $1 in
    ftckpt-*) echo "ftckpt-$((${1#ftckpt-} + 1000))" ;;
    *:ckpt-step-*) echo "${1/:local:/:lacol:}" ;;
    acme) echo qqqq ;;
    *) echo "${1::-3}$(rev <<< "${1: -3}")"x ;;
  esac
}
foreign=("$data" "$result" "$archive" "$done_job" "$running_job" "$checkpoint" "$name" "$checkpoint_name" "$key_id" acme "$entry" "$sweep" adapter_model.safetensors)
declare -A lacking # what stands for each id
for id in "${foreign[@]}"; do lacking[$id]=$(absent "$id"); done
mkdir "$work/out"; tried=0 wrong= targets=() ids=()
# queue NUMBER METHOD TARGET KEY: one more request of a single curl, since each of them takes longer to start than to run.
queue() {
  printf '%s\n' "url = \"$url$3\"" "request = $2" "header = \"Authorization: Bearer $4\"" 'header = "Content-Type: application/json"' \
    'data = "{\"exports\":[\"lora\"]}"' "output = \"$work/out/$1.body\"" "dump-header = \"$work/out/$1.head\"" silent next >> "$work/requests"
}
for who_key in "$beta" "$beta_admin" "$operator"; do
  for path in $(members paths); do
    [[ $path == *{* ]] || continue
    [[ $path == */tenants/* && $who_key == "$operator" ]] && continue # sees and makes all
    for method in $(members "paths.$path"); do
      for id in "${foreign[@]}"; do
        target=${path//\{name\}/adapter_model.safetensors}; target=${target/\{*\}/$id}
        targets+=("${method^^} $target"); ids+=("$id")
        queue "$tried.theirs" "${method^^}" "$target" "$who_key"
        queue "$tried.nobodys" "${method^^}" "${target/"$id"/${lacking[$id]}}" "$who_key"
        tried=$((tried + 1))
      done
    done
  done
done
sed -i '$d' "$work/requests"; curl -sS --max-time 120 -K "$work/requests"
sed -i -E '/^(date|x-request-id|openai-processing-ms|content-length):/Id' "$work"/out/*.head
for ((n = 0; n < tried; n++)); do
  id=${ids[n]} gone=${lacking[${ids[n]}]}
  theirs=$(< "$work/out/$n.theirs.head")$(< "$work/out/$n.theirs.body") nobodys=$(< "$work/out/$n.nobodys.head")$(< "$work/out/$n.nobodys.body")
  [[ ${theirs//"$id"/ID} == "${nobodys//"$gone"/ID}" ]] || wrong+="${targets[n]}: $theirs / $nobodys"$'\n'
  [[ $theirs =~ ^HTTP/1.1\ 40[34] ]] || wrong+="${targets[n]}: $theirs"$'\n'
done
is "$wrong" "" "$tried answers about another's are as about what is not there"
((tried > 500)) && ok "and that is every route" || not_ok "and that is every route" "$tried"

# ---- ids in bodies and queries ----
as "$beta"; wrong=
for id in "${foreign[@]}"; do
  for body_of in '"model":"tiny","training_file":"ID"' "\"model\":\"tiny\",\"training_file\":\"$own\",\"validation_file\":\"ID\"" \
    "\"model\":\"ID\",\"training_file\":\"$own\"" "\"model\":\"tiny\",\"training_file\":\"$own\",\"from_checkpoint\":\"ID\""; do
    ask POST /v1/fine_tuning/jobs "${json[@]}" -d "{${body_of//ID/$id}}"; theirs=$(answers "$id")
    gone=$(absent "$id"); ask POST /v1/fine_tuning/jobs "${json[@]}" -d "{${body_of//ID/$gone}}"
    [[ $theirs == "$(answers "$gone")" ]] || wrong+="$body_of: $theirs / $(answers "$gone")"$'\n'
    [[ $theirs == 4* ]] || wrong+="$body_of with $id: $theirs"$'\n'
  done
done
is "$wrong" "" "jobs cannot name another's files, models, checkpoints"
as "$beta_admin"; wrong=
for list in files fine_tuning/jobs fine_tuning/sweeps "fine_tuning/jobs/$own_job/events" "fine_tuning/jobs/$own_job/checkpoints" organization/admin_api_keys organization/audit_logs; do
  for id in "${foreign[@]}" "$event"; do
    ask GET "/v1/$list?after=$id"; [[ "$status $(value code)" == "400 invalid_cursor" ]] || wrong+="$list after $id: $status $body"$'\n'
  done
  ask GET "/v1/$list"; for id in "${foreign[@]}" "$event"; do [[ $body == *"\"$id\""* && $id != adapter_model.safetensors ]] && wrong+="$list shows $id"$'\n'; done
done
is "$wrong" "" "lists neither show another's nor begin after it"
as "$beta"
ask GET '/v1/fine_tuning/jobs?metadata%5Bteam%5D=red'; like "$body" '"data":\[\]' "metadata finds no job of another's"
ask GET "/v1/fine_tuning/jobs?sweep=$sweep"; like "$body" '"data":\[\]' "nor does its sweep"
ask GET /v1/models; unlike "$body" "$name" "no model of another's is listed"; like "$body" '"id":"tiny"' "base models are everybody's"
as "$acme" -H 'Idempotency-Key: k'; file=$data; create ',"suffix":"ok"'; first=$job; create ',"suffix":"ok"'; is "$job" "$first" "a key finds its own request"
as "$beta" -H 'Idempotency-Key: k'; file=$own; create ',"suffix":"ok"'; is "$status" 200 "and is another's too"; [[ $job != "$first" ]] && ok "for a job of its own" || not_ok "for a job of its own"
as "$acme"; ask GET "/v1/files/$data"; is "$status" 200 "nothing of all that touched the file"
ask GET "/v1/fine_tuning/jobs/$running_job"; is "$(value status)" running "or the job"

# ---- scopes ----
as "$reader"; wrong= tried=0
for path in $(members paths); do
  for method in $(members "paths.$path"); do
    target=$(sed -E 's/\{[^}]*\}/none/' <<< "$path")
    ask "${method^^}" "$target" "${json[@]}" -d '{}'; tried=$((tried + 1))
    want=ok; [[ $method != get || $path == */admin_api_keys* || $path == */audit_logs* || $path == /metrics ]] && want=refused
    got=ok; [[ "$status $(value code)" == "403 insufficient_scope" ]] && got=refused
    [[ $got == "$want" ]] || wrong+="$method $path: $status $body"$'\n'
  done
done
is "$wrong" "" "a key that reads does nothing else, in $tried operations"
as "$acme"; ask POST /v1/organization/admin_api_keys "${json[@]}" -d '{"name":"x"}'; is "$status $(value code)" "403 insufficient_scope" "one that submits makes no keys"
like "$body" 'has the scope \\"submit\\"; this needs \\"admin\\"' "and is told why"
as "$beta_admin"; ask POST /v1/organization/tenants/beta "${json[@]}" -d '{"queued_jobs_max":9}'; is "$status $(value code)" "403 insufficient_scope" "nobody sets his own limits"

# ---- the life of a key ----
as "$beta_admin"; ask POST /v1/organization/admin_api_keys "${json[@]}" -d '{"name":"new","scope":"read","expires_in_s":4}'
is "$status $(value scope) $(value tenant)" "200 read beta" "a key is made over HTTP"; new=$(value value) id=$(value id)
ask GET "/v1/organization/admin_api_keys/$id"; unlike "$body" '"value"' "and shown once"
as "$new"; ask GET /v1/files; is "$status" 200 "it holds"; sleep 4.1; ask GET /v1/files; is "$status $(value code)" "401 expired_api_key" "and expires"
as "$beta_admin"; ask POST /v1/organization/admin_api_keys "${json[@]}" -d '{"name":"two"}'; old=$(value value) id=$(value id)
ask POST "/v1/organization/admin_api_keys/$id/rotate" "${json[@]}" -d '{"grace_s":4}'; new=$(value value)
as "$new"; ask GET /v1/files; is "$status" 200 "a rotated key holds"; as "$old"; ask GET /v1/files; is "$status" 200 "and the old one with it"
sleep 5.1; ask GET /v1/files; like "$status $body" "^401 .*expired_api_key|^401 .*replaced by ${new:4:8}" "for a while"
as "$new"; keys revoke "${new:4:8}"; ask GET /v1/files; is "$status $(value code)" "401 invalid_api_key" "one that the operator revokes is refused at once"
as "$beta_admin"; ask DELETE "/v1/organization/admin_api_keys/${beta:4:8}"; is "$status $(value deleted)" "200 true" "over HTTP too"
as "$beta"; ask GET /v1/files; is "$status" 401 "from the next request on"
as "$operator"; ask GET "/v1/organization/admin_api_keys/${operator:4:8}"; like "$body" '"last_used_at":[0-9]' "the last use is noted"
like "$(keys list)" "${operator:4:8} +default +admin .* valid +operator" "and listed"
export REFLECT_URL=$url REFLECT_API_KEY=$beta_admin; reflect=$(dirname "$REFLECTD")/reflect
made=$("$reflect" keys create --name cli --scope read 2> "$work/said"); like "$made" "^rfd_[0-9A-Za-z_]*\$" "reflect makes a key"
as "$made"; ask GET /v1/files; is "$status" 200 "that holds"; "$reflect" keys revoke "${made:4:8}" > "$work/said"
ask GET /v1/files; is "$status" 401 "until reflect revokes it"; like "$("$reflect" keys list)" "${made:4:8} +read " "and lists it"
for bad in "--scope all" "--expires-in 30y" "--tenant A" "--expires-in"; do keys create --name x $bad; is "$?" 2 "keys create $bad"; done
keys create; like "$? $(< "$work/said")" '^2 .*--name NAME' "a key needs a name"
keys revoke none; is "$?" 2 "revoking none fails"; like "$(< "$work/said")" 'no API key has the id none' "and says so"

# ---- guesses ----
forged="${acme:0:13}$(tr 'A-Za-z' 'N-ZA-Mn-za-m' <<< "$secret")${acme:45}"
as "$forged"; for n in {1..11}; do ask GET /v1/files; codes+="$status "; done
is "$codes" "401 401 401 401 401 401 401 401 401 401 429 " "the eleventh wrong key in a minute has to wait"
like "$headers" 'Retry-After: [1-9]' "and is told how long"
as "$acme"; ask GET /v1/files; is "$status" 200 "who has a key goes on from the same address"

# ---- limits ----
as "$operator"; ask POST /v1/organization/tenants/gamma "${json[@]}" -d '{"queued_jobs_max":1,"running_jobs_max":1,"stored_bytes_max":2000}'
is "$status $(value stored_bytes_max)" "200 2000" "the operator makes a tenant with limits"
gamma=$(keys create --name gamma --tenant gamma); as "$gamma"
head -c 2500 /dev/zero | tr '\0' '\n' > "$work/large.jsonl"
for how in Expect: "Transfer-Encoding: chunked"; do
  ask POST /v1/files -F purpose=fine-tune -F "file=@$work/large.jsonl" -H "$how"; is "$status $(value code)" "429 quota_exceeded" "more bytes than it may have: $how"
done
like "$body" 'have 0 bytes and this adds 2500; its limit is 2000' "names both"; like "$headers" 'x-should-retry: false' "and no retry of that"
head -c 1500 "$work/large.jsonl" > "$work/most.jsonl"
ask POST /v1/files -F purpose=fine-tune -F "file=@$work/most.jsonl"; is "$status" 200 "what fits is taken"; most=$(value id)
ask GET /v1/organization/tenants/gamma; is "$(value stored_bytes)" 1500 "and counted"
ask POST /v1/files -F purpose=fine-tune -F "file=@$work/most.jsonl"; is "$status $(value code)" "429 quota_exceeded" "once"
ask DELETE "/v1/files/$most"; put train.jsonl; is "$status" 200 "until there is room again"
stop; start --workers-max 8; as "$gamma" # jobs of others do not keep these from running
create ',"suffix":"wait"'; reach running; one=$job; create ',"suffix":"ok"'; is "$status" 200 "one job runs, one waits"; two=$job
create ',"suffix":"ok"'; is "$status $(value code)" "429 too_many_queued_jobs" "no more"; like "$body" '1 jobs of the tenant gamma are waiting; its limit is 1' "names both"
job=$two; ask GET "/v1/fine_tuning/jobs/$two"; is "$(value status)" queued "a tenant at its limit waits"
as "$acme"; file=$data; create ',"suffix":"ok"'; reach succeeded; ok "while others go on"
as "$gamma"; ask POST "/v1/fine_tuning/jobs/$one/cancel"; job=$two; reach succeeded; ok "until there is a place"
as "$operator"; "$REFLECTD" tenants set gamma --queued-max 5 --data "$work/data"; ask GET /v1/organization/tenants/gamma
is "$(value queued_jobs_max) $(value running_jobs_max)" "5 1" "limits are set on the folder too"

# ---- the audit log ----
as "$operator" -H 'X-Reflectd-Tenant: gamma'; ask POST /v1/organization/admin_api_keys -H 'Content-Type: application/json' -d '{"name":"x"}'
is "$status" 200 "a key is made over HTTP"; ask GET '/v1/organization/audit_logs?limit=100'
for type in tenants.update keys.create files.create files.delete jobs.create jobs.cancel; do like "$body" "\"type\":\"$type\"" "the audit log has $type"; done
like "$body" "\"type\":\"jobs.cancel\"[^}]*\"id\":\"${gamma:4:8}\",\"ip_address\":\"127.0.0.1\"\},\"object_id\":\"$one\",\"result\":\"success\"" "by whom, from where, of what"
like "$body" '"type":"files.create".*"result":"quota_exceeded"' "and what was refused"
like "$body" '"actor":\{"type":"local_user"' "and what was done on the folder"
twice=$(grep -o '"request_id":"[^"]*"' <<< "$body" | sort | uniq -d); is "$twice" "" "each request has one entry"
ask GET '/v1/organization/audit_logs?limit=1'; last=$(value last_id); ask GET "/v1/organization/audit_logs?limit=1&after=$last"; unlike "$body" "$last" "page by page"
as "$acme"; ask DELETE "/v1/files/$gamma"; is "$status" 404 "a key in a path names no file"

# ---- secrets ----
stop; is "$code" 0 "exit 0"
for key in "$operator" "$acme" "$beta" "$beta_admin" "$reader" "$gamma" "$forged"; do
  grep -rlF "${key:13:32}" "$work/data" "$work/log" >> "$work/found"
done
is "$(< "$work/found")" "" "no key is in the data folder or the log"
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" 2>&1; is "$?" 0 "and the folder is whole"

# ---- the configured key ----
export REFLECTD_API_KEY=a-key-of-sixteen-bytes; start --workers-max 8; unset REFLECTD_API_KEY
as a-key-of-sixteen-bytes; ask GET /v1/organization/tenants; like "$body" '"id":"gamma"' "the configured key is the operator's"
put train.jsonl; create ',"suffix":"wait"'; reach running
unlike "$(cat /proc/$(pgrep -P "$pid" | tail -1)/environ | tr '\0' '\n')" a-key-of-sixteen "and not in a worker's environment"
as a-key-of-sixteen-bytez; for n in {1..10}; do ask GET /v1/files; done
as a-key-of-sixteen-bytes; ask GET /v1/files; is "$status $(value code)" "429 rate_limit_exceeded" "and cannot be guessed"
as "$acme"; ask GET /v1/files; is "$status" 200 "others go on"
stop; is "$code" 0 "exit 0"; unlike "$(< "$work/log")" a-key-of-sixteen "and it is not in the log"
finish
