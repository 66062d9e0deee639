#!/bin/bash
# Keys, and requests that no honest client sends: each is refused, none is read as two.
. "$(dirname "$0")/lib.sh"
trap '' PIPE # the daemon may end a connection before all is sent
printf 'secret-key-of-the-test\n' > "$work/key"
start --api-key-file "$work/key" --request-timeout-s 1
call GET /v1/models; is "$status $(value code)" "401 invalid_api_key" "no key"
like "$headers" 'WWW-Authenticate: Bearer' "says what is wanted"
call GET /v1/models -H 'Authorization: Bearer wrong'; is "$status" 401 "a wrong key"
call GET /v1/models -H 'Authorization: Basic c2VjcmV0'; is "$status" 401 "another scheme"
call GET /v1/models -H 'Authorization: Bearer secret-key-of-the-test'; is "$status" 200 "the right key"
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d '{}'; is "$status" 401 "a body without a key"
call GET /livez; is "$status" 200 "probes need none"
grep -q secret-key-of-the-test "$work/log" && not_ok "the key is not in the log" || ok "the key is not in the log"
grep -rq secret-key-of-the-test "$work/data" && not_ok "nor in the store" || ok "nor in the store"

key='Authorization: Bearer secret-key-of-the-test\r\n'
smuggled='GET /version HTTP/1.1\r\nHost: x\r\n\r\n'
refused() { # TEXT DESCRIPTION: a 4xx, no answer to what follows, and the connection ends
  raw "$1" 3
  like "$reply" '^HTTP/1.1 4[0-9][0-9] ' "$2: refused"
  unlike "$reply" '"version"' "$2: nothing of it is a second request"
}
head="POST /v1/fine_tuning/jobs HTTP/1.1\r\nHost: x\r\n${key}"
refused "${head}Content-Length: 5\r\nContent-Length: 40\r\n\r\nabcde$smuggled" "two Content-Length"
refused "${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$smuggled" "length and chunks"
refused "${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n$smuggled" "unknown transfer coding"
refused "${head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n$smuggled" "two transfer codings"
refused "${head}Content-Length : 5\r\n\r\n$smuggled" "blank before the colon"
refused "${head}Content-Length: -5\r\n\r\nabcde$smuggled" "negative length"
refused "${head}Content-Length: +5\r\n\r\nabcde$smuggled" "signed length"
refused "${head}Content-Length: 5, 5\r\n\r\nabcde$smuggled" "list of lengths"
refused "${head}Content-Length: 99999999999999999999\r\n\r\n$smuggled" "length beyond 64 bits"
refused "${head}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}" "a compressed body"
refused "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n$smuggled" "two Host"
refused "GET /livez HTTP/1.1\r\n\r\n$smuggled" "no Host"
refused "GET /livez HTTP/1.1\r\nHost: x\r\nA(b): c\r\n\r\n$smuggled" "a name that is no token"
refused "GET /v1/files/%2e%2e%2flivez HTTP/1.1\r\nHost: x\r\n${key}Connection: close\r\n\r\n" "escaped dots stay a name"
refused "GET /v1/files/../../livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" "plain dots are no route"
refused "GET /livez%00x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" "a zero byte in the path"
refused "BREW /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" "an unknown method"
refused "GET /livez HTTP/1.1\r\nHost: x\r\nX: $(printf 'x%.0s' {1..40000})\r\n\r\n" "a header of 40 KB"
refused "GET /$(printf 'x%.0s' {1..40000}) HTTP/1.1\r\nHost: x\r\n\r\n" "a path of 40 KB"
raw "GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" 3
like "$reply" '"ok".*"version"' "honest pipelining works"

# slow SECONDS FIRST [BYTE]: sends FIRST and then a byte each 0.2 s; sets cut to how long the connection lasted.
slow() {
  local from=${EPOCHREALTIME/./} limit=$(($1 * 5))
  exec 8<> "/dev/tcp/127.0.0.1/$port"
  printf '%b' "$2" >&8
  while ((limit-- > 0)) && printf 'x' >&8 2>/dev/null && kill -0 $$; do
    read -r -t 0.2 -u 8 _; (($? <= 128)) && break # the end, not a time-out
  done
  exec 8>&-
  cut=$(((${EPOCHREALTIME/./} - from) / 1000))
}
slow 5 'GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: '
((cut < 3500)) && ok "a slow header is cut" || not_ok "a slow header is cut" "after $cut ms"
slow 5 "${head}Content-Length: 1000\r\n\r\n"
((cut < 3500)) && ok "a slow body is cut" || not_ok "a slow body is cut" "after $cut ms"
slow 5 "" ; ((cut < 3500)) && ok "a slow request line is cut" || not_ok "a slow request line is cut" "after $cut ms"
for n in {1..100}; do exec {fd}<> "/dev/tcp/127.0.0.1/$port"; printf 'GET /li' >&"$fd"; done
call GET /livez; is "$status" 200 "a hundred slow clients do not disturb the others"
stop; is "$code" 0 "exit 0"
"$REFLECTD" --data "$work/d2" --models "$work/models" --listen 0.0.0.0:0 --worker-path "$here/fake_worker" 2> "$work/open"
[[ $? != 0 ]] && ok "no address that others reach without saying so" || not_ok "no address that others reach without saying so"
like "$(< "$work/open")" insecure_http "and the option is named"
"$REFLECTD" healthcheck --data "$work/data" --models "$work/models" --listen "$address" 2>/dev/null
is $? 1 "healthcheck of a stopped daemon"
finish
