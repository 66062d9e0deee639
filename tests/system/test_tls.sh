#!/bin/bash
# HTTPS: who is shown what, a certificate that changes under open connections, and the same strictness as without.
. "$(dirname "$0")/lib.sh"
trap '' PIPE
for name in one two; do install -m 600 "$here/tls/$name.key" "$work/$name.key"; cp "$here/tls/$name.crt" "$work/"; done
cp "$work/one.crt" "$work/crt"; cp "$work/one.key" "$work/key"
start --tls-certificate "$work/crt" --tls-key "$work/key" --header-timeout-s 2
url=https://localhost:$port
export CURL_CA_BUNDLE=$work/one.crt

call GET /livez; is "$status" 200 "a probe"
call GET /livez --tlsv1.2 --tls-max 1.2; is "$status" 200 "TLS 1.2"
call GET /livez --tlsv1.3; is "$status" 200 "TLS 1.3"
curl -s -o /dev/null --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 "$url/livez"; is $? 35 "TLS 1.1 is not spoken"
call GET /livez --cacert "$work/two.crt"; is "$status" 000 "another authority vouches for nothing"
call GET /livez; is "$status" 200 "the next client is served"
upload train.jsonl; is "$status" 200 "an upload"
call GET "/v1/files/$file/content"; is "$body" "$(< "$work/train.jsonl")" "a download"
submit train; await running # events as they come, over several records
curl -sN --max-time 60 "$url/v1/fine_tuning/jobs/$job/events?stream=true" > "$work/stream"; is $? 0 "a stream of events ends with its job"
is "$(grep -c '"message":"step [0-9]*"' "$work/stream")" 40 "and has all of them"; like "$(tail -n 5 "$work/stream")" 'event: end' "with its end"
head -c 40000000 /dev/zero > "$work/big"
call POST /v1/files -F purpose=batch -F "file=@$work/big" -H Expect:; is "$status $(value code)" "400 invalid_file_purpose" "an upload that is refused is answered"
call GET /livez -H 'A: x' -H $'B\x01: x'; is "$status $(value code)" "400 invalid_request" "what libmicrohttpd would let pass is seen, decrypted"
call GET "/$(printf 'x%.0s' {1..40000})"; is "$status $(value code)" "414 uri_too_long" "a target of 40 KB"
call GET /livez -X CONNECT --request-target evil:443; is "$status $(value code)" "405 method_not_allowed" "CONNECT"
codes=$(curl -s -w '%{http_code} %{num_connects},' -o /dev/null "$url/livez" -o /dev/null "$url/version" -o /dev/null "$url/nowhere")
is "$codes" "200 1,200 0,404 0," "a connection that is kept"
"$REFLECTD" healthcheck --data "$work/data" --models "$work/models" --listen "$address" --tls-certificate "$work/crt" --tls-key "$work/key"
is $? 0 "reflectd healthcheck"
reflect=$(dirname "$REFLECTD")/reflect
if [[ -x $reflect ]]; then
  env -u CURL_CA_BUNDLE "$reflect" --url "$url" --cacert "$work/one.crt" files list > "$work/out" 2>&1; is $? 0 "reflect --cacert"
  "$reflect" --url "$url" files list > "$work/out" 2>&1; is $? 0 "reflect with CURL_CA_BUNDLE"
  like "$(< "$work/out")" "$file" "lists the file"
  "$reflect" --url "$url" --cacert "$work/two.crt" files list > "$work/out" 2>&1; unlike $? '^0$' "reflect trusts no other"
fi
raw "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" 4; like "$reply" '^HTTP/1.1 400 .*"code":"invalid_request"' "without TLS nothing is served"
like "$reply" 'https://' "and told where it is"
exec 8<> "/dev/tcp/127.0.0.1/$port"; timeout 5 cat <&8 > /dev/null; is $? 0 "a client that says nothing is left"; exec 8>&-

# ---- a new certificate ----
shown() { curl -s --insecure -o /dev/null -w '%{certs}' "$url/livez" 2> /dev/null | sed -n 's/^Subject:.*CN *= *//p' | head -1; }
hangup() { # waits for the log to say what came of it
  local lines; lines=$(grep -c SIGHUP "$work/log"); kill -HUP "$pid"
  for _ in {1..50}; do (($(grep -c SIGHUP "$work/log") > lines)) && return; sleep 0.1; done
}
is "$(shown)" "reflectd test one" "the first certificate"
# One client stays: it asks ten times in a second.
many=(); for n in {1..10}; do many+=(-o /dev/null "$url/livez"); done
curl -s --insecure --rate 600/m -w '%{http_code} %{num_connects}\n' "${many[@]}" > "$work/kept" &
kept=$!
sleep 0.2; cp "$work/two.crt" "$work/crt"; cp "$work/two.key" "$work/key"; hangup
is "$(shown)" "reflectd test two" "SIGHUP: new connections are shown the new one"
wait "$kept"; is "$(sort "$work/kept" | uniq -c | tr -s ' ')" $' 9 200 0\n 1 200 1' "one that was open goes on"
cp "$work/one.crt" "$work/crt"; hangup
like "$(tail -n 3 "$work/log")" "SIGHUP: the certificate stays what it was: .*$work/key is not the key of the certificate in $work/crt" "a pair that does not match is named"
is "$(shown)" "reflectd test two" "and the old one stays"
printf 'nonsense' > "$work/crt"; hangup; like "$(tail -n 3 "$work/log")" "stays what it was: tls_certificate: $work/crt: " "nor one that is no certificate"
rm "$work/crt"; hangup; is "$(shown)" "reflectd test two" "nor one that is gone"
stop; is "$code" 0 "exit 0"

# ---- what cannot be started ----
refused() { # TEXT DESCRIPTION OPTION...
  local text=$1 about=$2; shift 2
  timeout 10 "$REFLECTD" --data "$work/d2" --models "$work/models" --worker-path "$here/fake_worker" --listen 127.0.0.1:0 "$@" 2> "$work/err"
  is $? 2 "$about: exit 2"; like "$(tail -n 1 "$work/err")" "$text" "and why"
}
refused "tls_key: $work/two.key is not the key of the certificate in $work/one.crt" "another's key" --tls-certificate "$work/one.crt" --tls-key "$work/two.key"
refused "tls_certificate: .*$work/none" "no certificate" --tls-certificate "$work/none" --tls-key "$work/one.key"
refused "tls_certificate: $work/one.key" "a key for a certificate" --tls-certificate "$work/one.key" --tls-key "$work/one.key"
refused "tls_key: $work/one.crt" "a certificate for a key" --tls-certificate "$work/one.crt" --tls-key "$work/one.crt"
refused "tls_key is needed beside tls_certificate" "half of it" --tls-certificate "$work/one.crt"
refused "set tls_certificate and tls_key" "a public address without TLS" --listen 0.0.0.0:0
refused "nobody needs a key" "a public address without keys" --listen 0.0.0.0:0 --tls-certificate "$work/one.crt" --tls-key "$work/one.key"
chmod 644 "$work/one.key"; start --tls-certificate "$work/one.crt" --tls-key "$work/one.key"; stop
like "$(< "$work/log")" 'one.key can be read by everybody' "a key that others can read is warned of"
finish
