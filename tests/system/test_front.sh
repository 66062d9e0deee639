#!/bin/bash
# The HTTP front itself: who is answered, with what, and how a connection ends. Whatever is refused gets the error object.
. "$(dirname "$0")/lib.sh"
trap '' PIPE # the daemon may end a connection before all is sent
start --request-timeout-s 2 --connections-max 20 --upload-bytes-max 1000000 --body-bytes-max 65536

# says STATUS CODE DESCRIPTION: what $reply is: one answer, in JSON, and the connection ends.
says() {
  like "$reply" "^HTTP/1.1 $1 .*Content-Type: application/json.*\"code\":\"$2\"" "$3: $1 $2"
  local rest=${reply#HTTP/1.1}
  unlike "$rest" 'HTTP/1.1 [2-5]' "$3: one answer"
  like "$reply" 'Connection: close' "$3: says that it ends"
}
# refused TEXT STATUS CODE DESCRIPTION
refused() { raw "$1" 3; says "$2" "$3" "$4"; }

# ---- what is no request ----
post='POST /v1/fine_tuning/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
refused "GET /livez HTTP/1.1\r\n\r\n" 400 invalid_request "HTTP/1.1 without Host"
refused "${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\n" 400 invalid_request "two lengths"
refused "GET /livez HTTP/1.1\r\nHost: x\r\nX: $(printf 'x%.0s' {1..40000})\r\n\r\n" 431 header_too_large "a header of 40 KB"
refused "GET /livez HTTP/1.1\r\nHost: x\r\n$(printf 'X: y\\r\\n%.0s' {1..200})\r\n" 431 header_too_large "200 headers"
refused "GET /$(printf 'x%.0s' {1..40000}) HTTP/1.1\r\nHost: x\r\n\r\n" 414 uri_too_long "a target of 40 KB"
refused "HEAD /livez HTTP/1.1\r\nHost: x\r\n" 408 request_timeout "a header that does not end"
refused "${post}Content-Length: 5\r\n\r\nab" 408 request_timeout "a body that does not end"
raw "HEAD /nowhere HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" 3
like "$reply" '^HTTP/1.1 404 .*Content-Type: application/json.*Content-Length: [1-9].*HTTP/1.1 200 ' "HEAD is refused with the same header"
unlike "$reply" 'not_found' "and no body"

# ---- who is served ----
raw "GET /livez HTTP/1.0\r\n\r\n" 3; like "$reply" '^HTTP/1.1 200 .*Connection: close.*"ok"' "HTTP/1.0 without Host"
raw "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /version HTTP/1.0\r\n\r\n" 3
like "$reply" '^HTTP/1.1 200 .*Connection: [Kk]eep-[Aa]live.*"version"' "HTTP/1.0 that keeps its connection"
raw "GET http://example.org/livez HTTP/1.1\r\nHost: Example.org\r\nConnection: close\r\n\r\n" 3; like "$reply" '^HTTP/1.1 200 ' "an absolute target"
refused "GET http://example.org/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" 400 invalid_request "one of another host"
raw "GET http://x?y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" 3; like "$reply" '^HTTP/1.1 200 ' "one without a path is the first page"
raw "\r\nGET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" 3; like "$reply" '^HTTP/1.1 200 ' "an empty line before a request"
raw "${post}Transfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\nX-T: 1\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" 3
like "$reply" '^HTTP/1.1 400 .*"missing_required_parameter".*"version"' "chunks, with extension and trailer, and the next request"
like "$reply" $'\nDate: [A-Z][a-z][a-z], [0-9][0-9] [A-Z][a-z][a-z] 20[0-9][0-9] ' "answers are dated"
call GET "/livez?$(printf 'a&%.0s' {1..90})"; is "$status $(value code)" "400 invalid_value" "a target of 90 arguments"
call GET "/livez?$(printf 'a&%.0s' {1..500})"; is "$status $(value code)" "414 uri_too_long" "a target of 500 arguments"
refused "GET /livez?$(printf 'a&%.0s' {1..5000}) HTTP/1.1\r\nHost: x\r\n\r\n" 414 uri_too_long "one of 5,000"
before=$(awk '/VmRSS/ {print $2}' "/proc/$pid/status")
curl -s -o /dev/null "$url/livez?[1-3000]$(printf '&a%.0s' {1..1500})"
after=$(awk '/VmRSS/ {print $2}' "/proc/$pid/status")
[[ $REFLECTD == */asan/* ]] || { ((after - before < 2048)) && ok "of 3,000 nothing is kept" || not_ok "of 3,000 nothing is kept" "$before KiB -> $after KiB"; }

# ---- bodies that are refused ----
head -c 40000000 /dev/zero > "$work/big"
for how in "Expect: 100-continue" "Expect:" "Transfer-Encoding: chunked"; do
  call POST /v1/files -F purpose=batch -F "file=@$work/big" -H "$how"
  like "$status $(value code)" '^(413 file_too_large|400 invalid_file_purpose)$' "40 MB are refused with an answer: $how"
  is "$(< "$work/curl")" "" "and curl has nothing to complain of"
  call POST /v1/fine_tuning/jobs --data-binary "@$work/big" -H 'Content-Type: application/json' -H "$how"
  is "$status $(value code)" "413 file_too_large" "a body of JSON: $how"
  call POST /nowhere --data-binary "@$work/big" -H "$how"; is "$status $(value code)" "404 not_found" "no route: $how"
done
# blind HEAD: sends that and 40 MB before it reads a byte, as many clients do; sets reply.
blind() {
  exec 9<> "/dev/tcp/127.0.0.1/$port"
  { printf '%b' "$1"; cat "$work/big"; } >&9 2> "$work/blind"
  reply=$(timeout 5 cat <&9 | tr -d '\0'); exec 9>&-
}
blind "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 40000000\r\n\r\n"
says 413 file_too_large "a client that does not listen while it sends"
is "$(< "$work/blind")" "" "and could send all of it"
blind "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 40000000\r\n\r\n"; says 404 not_found "the same, no route"
timeout 20 bash -c 'trap "" PIPE; exec 9<> "/dev/tcp/127.0.0.1/$1"
  printf "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" >&9
  while printf "1000\r\n%04096d\r\n" 0 >&9; do :; done' - "$port" 2> /dev/null
is $? 0 "a body without an end is cut in the end"
call POST /v1/fine_tuning/jobs -H 'Content-Encoding: gzip' -H 'Content-Type: application/json' --data-binary '{}'
is "$status $(value code)" "415 unsupported_media_type" "a compressed body"; like "$body" 'Content-Encoding gzip' "is named"
call POST /v1/files -H 'Content-Encoding: br' -F purpose=fine-tune -F "file=@$work/big"; is "$status $(value code)" "415 unsupported_media_type" "a compressed upload"
like "$body" 'Content-Encoding br' "is named"
call POST /v1/fine_tuning/jobs -H 'Content-Encoding: identity' -H 'Content-Type: application/json' --data-binary '{}'
is "$status $(value code)" "400 missing_required_parameter" "identity is none"
is "$(find "$work/data/files" -type f | wc -l)" 0 "refused uploads leave nothing behind"

# ---- the limit of connections ----
for round in 1 2 3; do
  (for n in {1..40}; do exec {fd}<> "/dev/tcp/127.0.0.1/$port"; printf 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n' >&"$fd"; done; sleep 0.3)
  call GET /livez --max-time 2; is "$status" 200 "all connections leave at the limit: the next is served ($round)"
done

# ---- what is stored, and where ----
call POST /v1/fine_tuning/jobs -H $'Content-Type: text/\xff' -d '{}'; is "$status $(value code)" "415 unsupported_media_type" "bytes that are no text are quoted as such"
upload train.jsonl; bytes=$work/data/files/$file
call GET "/v1/files/$file/content"; is "$status" 200 "the bytes of a file"
truncate -s -1 "$bytes"; call GET "/v1/files/$file/content"; is "$status $(value code)" "500 content_damaged" "a file that has become shorter"
unlike "$headers" 'ETag' "is not sent under its hash"; like "$headers" 'x-should-retry: false' "and asking again does not help"
printf 'xx' >> "$bytes"; call GET "/v1/files/$file/content" -H 'Range: bytes=0-1'; is "$status $(value code)" "500 content_damaged" "one that has become longer"
call HEAD "/v1/files/$file/content" --head; is "$status" 500 "HEAD says so too"
rm "$bytes"; call GET "/v1/files/$file/content"; like "$status $body" '^500 .*"message":"cannot open files/' "one that is gone, by its name"
upload train.jsonl; submit ok; await succeeded
artifact=$(find "$work/data/jobs/$job" -name metrics.csv); : > "$artifact"
call GET "/v1/fine_tuning/jobs/$job/artifacts/metrics.csv"; is "$status $(value code)" "500 content_damaged" "an artifact that has become empty"
submit path; await failed
like "$body" '"message":"models/tiny/config.json and data/jobs are not what they were"' "a worker's complaint names no folder of the operator's"
call GET "/v1/fine_tuning/jobs/$job/events"; unlike "$body" "$work" "nor do the job's events"
stop; is "$code" 0 "exit 0"

# ---- a disk that fills while a body arrives ----
printf '#!/bin/bash\nexec unshare -rm bash -c '"'mount -t tmpfs -o size=12m tmpfs \"\$0\" && exec \"\$@\"'"' %q %q "$@"\n' "$work/data" "$REFLECTD" > "$work/boxed"
chmod +x "$work/boxed"
if unshare -rm mount -t tmpfs tmpfs "$work/data" 2> /dev/null; then
  REFLECTD=$work/boxed start
  for how in "Expect: 100-continue" "Expect:" "Transfer-Encoding: chunked"; do
    call POST /v1/files -F purpose=fine-tune -F "file=@$work/big" -H "$how"; is "$status $(value code)" "507 insufficient_storage" "a full disk: $how"
  done
  like "$body" '"message":"writing data/files/[^/]*: No space left on device"' "is told without the operator's paths"
  upload train.jsonl; is "$status" 200 "what was refused takes no room"
  stop; is "$code" 0 "exit 0"
else
  ok "a full disk # SKIP no namespace to mount one in"
fi

# ---- a system that has no descriptor left for whoever connects ----
shim=${BUILD_DIR:-$root/build}/tests/fault/shim.so daemon=$REFLECTD
if [[ -e $shim ]]; then # it does not go together with a sanitizer's allocator
  printf '#!/bin/sh\nexec env LD_PRELOAD=%q FAULT_CALLS=accept FAULT_ARM=%q FAULT_AT=1 FAULT_LAST=30 FAULT_ERROR=EMFILE FAULT_COUNT=%q %q "$@"\n' \
    "$shim" "$work/armed" "$work/accepts" "$daemon" > "$work/starved"
  chmod +x "$work/starved"
  ticks() { awk '{print $14 + $15}' "/proc/$pid/stat"; }
  REFLECTD=$work/starved start; : > "$work/armed"
  exec {fd}<> "/dev/tcp/127.0.0.1/$port"
  before=$(ticks); sleep 2; spent=$(($(ticks) - before))
  ((spent < 20)) && ok "whoever connects meanwhile keeps it waiting, not busy" || not_ok "whoever connects meanwhile keeps it waiting, not busy" "$spent of 200 hundredths of a second"
  call GET /livez; is "$status" 200 "and is served when there are some again"
  exec {fd}>&-
  stop; tried=$(< "$work/accepts"); ((tried < 60)) && ok "which it looks for now and then" || not_ok "which it looks for now and then" "$tried times"
else
  ok "no descriptor left # SKIP there is no $shim"
fi

printf 'a-key-of-sixteen-bytes\n' > "$work/key"
for mode in 600 640 644 602; do
  chmod $mode "$work/key"; start --api-key-file "$work/key"; stop
  if [[ $mode == 6?0 ]]; then unlike "$(< "$work/log")" 'by everybody' "a key file of mode $mode"
  else like "$(< "$work/log")" 'key can be (read|changed) by everybody' "a key file of mode $mode is warned of"; fi
done
finish
