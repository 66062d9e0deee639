#!/bin/bash
# Webhooks: what happens to a job is told to whoever asked for it, signed, again until it is taken, and across a kill -9 of
# the daemon; a receiver that never answers holds up nobody; addresses that a client may not have reached are not.
. "$(dirname "$0")/lib.sh"

"$here/receiver" "$work" & receiver=$!
trap 'kill "$receiver" 2>/dev/null; cleanup' EXIT
for _ in {1..100}; do [[ -s $work/port ]] && break; sleep 0.1; done
hook=http://127.0.0.1:$(< "$work/port")
touch "$work/requests"
# make URL EVENT...: sets endpoint and secret.
make() {
  local to=$1; shift
  call POST /v1/webhook_endpoints -H 'Content-Type: application/json' -d "{\"name\":\"a\",\"url\":\"$to\",\"event_types\":[$(printf '"fine_tuning.job.%s",' "$@" | sed 's/,$//')]}"
  endpoint=$(value id) secret=$(value signing_secret)
}
told() { grep -cF "$1" "$work/requests"; } # TEXT: requests with it
# until_told COUNT TEXT
until_told() { for _ in {1..80}; do (($(told "$2") >= $1)) && return; sleep 0.1; done; not_ok "told of $2" "$(< "$work/requests")" "$(tail -3 "$work/log")"; }
test_it() { call POST "/v1/webhook_endpoints/$endpoint/test" -H 'Content-Type: application/json' -d '{"event_type":"fine_tuning.job.failed"}'; }

# ---- what is refused, by default ----
start
make "$hook/" succeeded; is "$status $(value param)" "400 url" "http is not allowed by default"
for to_private in https://127.0.0.1/ https://localhost:9/ https://10.1.2.3/x 'https://[::1]/' https://user@example.com/ ftp://example.com/ 'https://example.com/#x' https:///x https://example.com:0/ https://2130706433/ https://0x7f.1/ https://localhost./; do
  make "$to_private" succeeded; is "$status $(value param)" "400 url" "$to_private is refused"
done
make https://example.invalid/ nothing; is "$status $(value code)" "400 unsupported_value" "an event that there is none of is refused"
stop
# What a name means is seen when it is connected to: here the address was allowed when it came.
start --webhook-targets any; make https://127.0.0.1:9/ succeeded; is "$status" 200 "any address, where that is configured"; stop
start; test_it; like "$status $body" '400 .*not one of the public Internet' "and no more, when it is connected to"; stop
start --webhook-http --webhook-targets any; make http://127.0.0.1:9/ succeeded; stop
start --webhook-http; test_it; like "$status $body" '400 .*not one of the public Internet' "and so over http"; stop

# ---- what is told ----
start --webhook-http --webhook-targets any
make "$hook/dead" succeeded; dead=$endpoint
call POST "/v1/webhook_endpoints/$dead" -H 'Content-Type: application/json' -d "{\"url\":\"$hook/slow\"}"
is "$status $(value url)" "200 $hook/slow" "an endpoint is changed"
make "$hook/a" succeeded failed; good=$endpoint
lacks() { [[ $body == *"$1"* ]] && not_ok "$2" "$body" || ok "$2"; } # as it is: a secret has a + sometimes
like "$status $secret" '^200 whsec_[A-Za-z0-9+/]{43}=$' "an endpoint is made, with a secret"
call GET "/v1/webhook_endpoints/$good"; lacks "$secret" "which is not shown again"; is "$(value signing_secret_hint)" "whsec_...${secret: -4}" "but for its end"
call GET /v1/webhook_endpoints; like "$body" "\"first_id\":\"$good\"" "they are listed, newest first"
call GET /v1/webhook_event_types; like "$body" '"fine_tuning.job.cancelled"' "so are the events"
test_it; is "$status $(value status_code) $(value success)" "200 200 true" "a test is answered with what the receiver said"
upload train.jsonl; submit ok; await succeeded; done_job=$job
until_told 1 "$done_job"
like "$(grep -F "$done_job" "$work/requests")" "^/a evt_[0-9a-f]{24} 1 \{\"id\":\"evt_[0-9a-f]{24}\",\"object\":\"event\",\"created_at\":[0-9]+,\"type\":\"fine_tuning.job.succeeded\",\"data\":\{\"id\":\"$done_job\"\}\}$" \
  "a job that succeeds is told of, though another receiver never answers"
noted() { call GET "/v1/webhook_endpoints/$good/deliveries"; [[ $(value status) != pending ]]; }; soon noted
is "$(value status) $(value attempts) $(value status_code)" "delivered 1 200" "and what became of that is shown"
submit wait; await running; call POST "/v1/fine_tuning/jobs/$job/cancel"; await cancelled
is "$(told "$job")" 0 "nobody asked for cancelled ones"

# ---- again until it is taken ----
echo 503 > "$work/answer"
submit error; await failed; until_told 2 "$job"
call GET "/v1/webhook_endpoints/$good/deliveries"; is "$(value status) $(value status_code)" "pending 503" "what is not taken stays"
call POST "/v1/webhook_endpoints/$good/rotate_secret" -H 'Content-Type: application/json' -d '{"keep_old_secret_active_for_24_hours":true}'
like "$(value signing_secret)" '^whsec_' "a secret is replaced"; lacks "$secret" "by another"
stop KILL
echo 302 > "$work/answer"; before=$(told "$job")
start --webhook-http --webhook-targets any
until_told $((before + 1)) "$job"; rm "$work/answer"; until_told $((before + 2)) "$job"
is "$(grep -F "$job" "$work/requests" | cut -d' ' -f2 | sort -u | wc -l)" 1 "each attempt has the same id, before a kill and after it"
like "$(grep -F "$job" "$work/requests" | tail -1)" '^/a evt_[0-9a-f]* 2 ' "both secrets sign"
is "$(told /moved)" 0 "redirects are not followed"
call GET "/v1/webhook_endpoints/$good/deliveries"; is "$(value status) $(value status_code)" "delivered 200" "and then it is taken"
call GET /metrics; like "$body" 'reflectd_webhook_deliveries_total\{result="delivered"\} 1' "which is counted"
like "$(grep -c reflect-deliver <<< "$(ps -eo args)")" '^[0-3]$' "few processes send"
# ---- by the command line ----
reflect() { "${REFLECTD%/*}/reflect" --url "$url" "$@" 2> "$work/said"; }
cli_secret=$(reflect webhooks create --name cli --to "$hook/cli" --events fine_tuning.job.succeeded,fine_tuning.job.paused)
like "$cli_secret $(< "$work/said")" '^whsec_.{44} .*shown this once.* we_' "reflect webhooks create prints the secret"
made=$(grep -o 'we_[a-z0-9]*' "$work/said"); like "$(reflect webhooks test "$made")" '"status_code": 200' "test says what came back"
like "$(reflect webhooks)" "$made +cli +$hook/cli +fine_tuning.job.succeeded,fine_tuning.job.paused" "list shows it"
like "$(reflect webhooks deliveries "$good")" "fine_tuning.job.failed +$job +delivered +[0-9]+ +200" "deliveries show what was sent"
reflect webhooks delete "$made" > "$work/out"; is "$?" 0 "delete deletes it"

call DELETE "/v1/webhook_endpoints/$good"; is "$status $(value deleted)" "200 true" "an endpoint is deleted"
call GET "/v1/webhook_endpoints/$good/deliveries"; is "$status $(value code)" "404 webhook_endpoint_not_found" "and gone"
"$REFLECTD" fsck --data "$work/data" > "$work/said" 2>&1; is "$?" 0 "fsck finds nothing"
stop; is "$code" 0 "exit 0"
# ---- who the receiver is ----
if command -v openssl > /dev/null; then
  mkfifo "$work/in"; exec {in}<> "$work/in" # it leaves when its input ends
  openssl s_server -accept 127.0.0.1:0 -cert "$here/tls/one.crt" -key "$here/tls/one.key" -naccept 8 <&"$in" > "$work/tls_said" 2>&1 & tls=$!
  accepts() { tls_at=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$work/tls_said"); [[ -n $tls_at ]]; }; soon accepts
  start --webhook-targets any
  make "https://127.0.0.1:$tls_at/" failed; is "$status" 200 "an https:// receiver"
  test_it; like "$(value code) $body" '^webhook_delivery_failed .*certificate' "one whose certificate nobody vouches for is not trusted"
  unlike "$(< "$work/tls_said")" 'webhook|POST' "and hears nothing"
  stop; kill "$tls" 2> /dev/null; wait "$tls" 2> /dev/null; exec {in}>&-
else
  ok "a receiver that nobody vouches for # SKIP there is no openssl"
fi
start --webhook-targets none
make https://example.com/ succeeded; is "$status $(value code)" "400 unsupported_value" "where there are none, none can be made"
stop

finish
