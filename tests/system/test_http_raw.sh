#!/bin/bash
# Requests byte by byte: each is sent alone, behind a good one in the same packet, and behind a good one that was
# answered. What is malformed gets one error object and the end of its connection; nothing of it is a second request.
. "$(dirname "$0")/lib.sh"
trap '' PIPE # the daemon may end a connection before all is sent
start --upload-bytes-max 1000000 --body-bytes-max 65536

smuggled='GET /version HTTP/1.1\r\nHost: x\r\n\r\n'
good='GET /livez HTTP/1.1\r\nHost: x\r\n\r\n'
last='GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
cases=0

# ask TEXT [FIRST [PAUSE]]: sends FIRST and TEXT; sets reply to all that comes, took to how long that lasted in ms.
ask() {
  local from=${EPOCHREALTIME/./}
  exec 9<> "/dev/tcp/127.0.0.1/$port"
  if [[ -n ${3:-} ]]; then { printf '%b' "$2" >&9; sleep "$3"; printf '%b' "$1" >&9; } 2> /dev/null
  else printf '%b' "${2:-}$1" 2> /dev/null >&9; fi
  reply=$(timeout 3 cat <&9 2> "$work/cat" | tr -d '\0')
  exec 9>&-
  took=$(((${EPOCHREALTIME/./} - from) / 1000))
}
# judge WANT NAME: is $reply one answer in JSON, with the status and code of WANT, that says that it ends? Else says why.
judge() {
  local why='' rest=${reply#HTTP/1.1}
  [[ $reply =~ ^HTTP/1.1\ ${1% *}\ .*Content-Type:\ application/json.*\"code\":\"${1#* }\" ]] || why="not $1"
  [[ $reply == *$'\nConnection: close'* && $reply == *$'\nDate: '* ]] || why="$why, does not say that it ends, and when"
  [[ $rest == *'HTTP/1.1 '[2-5]* ]] && why="$why, more than one answer"
  [[ $reply == *'"version"'* ]] && why="$why, smuggled"
  ((took > 2000)) && why="$why, the connection did not end in $took ms"
  [[ -s $work/cat ]] && why="$why, $(< "$work/cat")"
  [[ -z $why ]] || { not_ok "$2" "$why" "got: ${reply:0:300}"; return 1; }
}
# bad STATUS CODE NAME TEXT: refused in every place.
bad() {
  cases=$((cases + 1))
  ask "$4$smuggled"; judge "$1 $2" "$3" || return
  for pause in "" 0.05; do
    ask "$4$smuggled" "$good" $pause
    [[ $reply =~ ^HTTP/1.1\ 200\ .*\"ok\"[^H]*(HTTP/1.1\ .*)$ ]] || { not_ok "$3, after a good one ($pause)" "got: ${reply:0:300}"; return; }
    reply=${BASH_REMATCH[1]}; judge "$1 $2" "$3, after a good one ($pause)" || return
  done
  ok "$1 and the end: $3"
}
# kept STATUS NAME TEXT: answered, and the next request too.
kept() {
  cases=$((cases + 1))
  for pause in none "" 0.05; do
    [[ $pause == none ]] && ask "$3$last" || ask "$3$last" "$good" $pause
    [[ $pause == none ]] || reply=${reply#*'"ok"}'?}
    [[ $reply =~ ^HTTP/1.1\ $1\ .*HTTP/1.1\ 200\ .*\"version\" && $took -lt 2000 ]] ||
      { not_ok "$2 ($pause)" "took $took ms, got: ${reply:0:400}"; return; }
  done
  ok "$1 and the next: $2"
}
x() { printf "%.0s$2" $(seq "$1"); }

# ---- the request line ----
bad 400 invalid_request "an empty method" " /livez HTTP/1.1\r\nHost: x\r\n\r\n"
bad 400 invalid_request "no request at all" "\x01\x02\x03\x04\r\n\r\n"
bad 400 invalid_request "the beginning of TLS" "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
bad 400 invalid_request "a method of 40 letters" "$(x 40 A) /livez HTTP/1.1\r\nHost: x\r\n\r\n"
bad 400 invalid_request "a zero byte in the method" "GE\0000T /livez HTTP/1.1\r\nHost: x\r\n\r\n"
bad 400 invalid_request "two blanks" "GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n"
bad 400 invalid_request "tabs for blanks" "GET\t/livez\tHTTP/1.1\r\nHost: x\r\n\r\n"
bad 400 invalid_request "a blank in the target" "GET /livez x HTTP/1.1\r\nHost: x\r\n\r\n"
bad 400 invalid_request "something behind the version" "GET /livez HTTP/1.1 x\r\nHost: x\r\n\r\n"
bad 400 invalid_request "a zero byte in the target" "GET /livez\0000x HTTP/1.1\r\nHost: x\r\n\r\n"
bad 400 invalid_request "a byte beyond ASCII in the target" "GET /livez\xff HTTP/1.1\r\nHost: x\r\n\r\n"
bad 400 invalid_request "a control byte in the target" "GET /liv\x7fez HTTP/1.1\r\nHost: x\r\n\r\n"
bad 400 invalid_request "a target that is no path" "GET livez HTTP/1.1\r\nHost: x\r\n\r\n"
bad 405 method_not_allowed "CONNECT" "CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n"
bad 414 uri_too_long "a target of 40 KB" "GET /$(x 40000 x) HTTP/1.1\r\nHost: x\r\n\r\n"
bad 414 uri_too_long "one of 5,000 arguments" "GET /livez?$(x 5000 'a&') HTTP/1.1\r\nHost: x\r\n\r\n"
bad 505 http_version_not_supported "HTTP/0.9" "GET /livez\r\n\r\n"
bad 505 http_version_not_supported "HTTP/2.0" "GET /livez HTTP/2.0\r\nHost: x\r\n\r\n"
bad 505 http_version_not_supported "the preface of HTTP/2" "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0000\0000\0000\x04\0000\0000\0000\0000\0000"
bad 505 http_version_not_supported "HTTP/1.2" "GET /livez HTTP/1.2\r\nHost: x\r\n\r\n"
bad 400 invalid_request "HTTP/1.10" "GET /livez HTTP/1.10\r\nHost: x\r\n\r\n"
bad 400 invalid_request "http/1.1 in small letters" "GET /livez http/1.1\r\nHost: x\r\n\r\n"
bad 400 invalid_request "a bare line feed ends the request line" "GET /livez HTTP/1.1\nHost: x\r\n\r\n"
bad 400 invalid_request "a carriage return in it" "GET /livez HTTP/1.1\rHost: x\r\n\r\n"
bad 400 invalid_request "ten empty lines before it" "$(x 10 '\\r\\n')GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
bad 400 invalid_request "a bare line feed before it" "\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n"

# ---- the header ----
get='GET /livez HTTP/1.1\r\nHost: x\r\n'
bad 400 invalid_request "a line without a colon" "${get}nocolon\r\n\r\n"
bad 400 invalid_request "no name" "${get}: v\r\n\r\n"
bad 400 invalid_request "a folded line" "${get}A: b\r\n\tc\r\n\r\n"
bad 400 invalid_request "the first line folded" "GET /livez HTTP/1.1\r\n Host: x\r\n\r\n"
bad 400 invalid_request "a blank before the colon" "${get}A : b\r\n\r\n"
bad 400 invalid_request "a name that is no token" "${get}A(b): c\r\n\r\n"
bad 400 invalid_request "a control byte in a name" "${get}A\x01: b\r\n\r\n"
bad 400 invalid_request "a zero byte in a name" "${get}A\0000: b\r\n\r\n"
bad 400 invalid_request "a zero byte in a value" "${get}A: v\0000w\r\n\r\n"
bad 400 invalid_request "a control byte in a value" "${get}A: \x1b[2J\r\n\r\n"
bad 400 invalid_request "a bare line feed ends a field" "${get}A: b\nC: d\r\n\r\n"
bad 400 invalid_request "bare line feeds end the header" "GET /livez HTTP/1.1\r\nHost: x\n\n"
bad 400 invalid_request "a carriage return in a value" "${get}A: b\rC: d\r\n\r\n"
bad 400 invalid_request "no Host" "GET /livez HTTP/1.1\r\n\r\n"
bad 400 invalid_request "two Host" "${get}Host: x\r\n\r\n"
bad 400 invalid_request "two Authorization" "${get}Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"
bad 431 header_too_large "a field of 40 KB" "${get}A: $(x 40000 x)\r\n\r\n"
bad 431 header_too_large "a name of 40 KB" "${get}$(x 40000 x): a\r\n\r\n"
bad 431 header_too_large "a field of 16 KB" "${get}A: $(x 16384 x)\r\n\r\n"
kept 200 "a head of almost 16 KB" "${get}A: $(x 16000 x)\r\n\r\n"
kept 200 "a head of 99 fields, 32 arguments and almost 16 KB" \
  "GET /livez?$(x 31 'a=b&')a HTTP/1.1\r\nHost: x\r\n$(x 98 "A: $(x 154 x)\\\\r\\\\n")\r\n"
kept 200 "a head of 99 fields and almost 16 KB" "${get}$(x 98 "A: $(x 156 x)\\\\r\\\\n")\r\n"
bad 431 header_too_large "200 fields" "${get}$(x 200 'A: b\\r\\n')\r\n"

# ---- how long a body is ----
post='POST /v1/fine_tuning/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
for length in "5 " -5 +5 0x5 5a "" "5, 5" 5.0 "5 5" 99999999999999999999 18446744073709551621 "5\0006" "$(x 100 0)5"; do
  bad 400 invalid_request "Content-Length: ${length:0:30}" "${post}Content-Length: $length\r\n\r\nabcde"
done
bad 400 invalid_request "two lengths" "${post}Content-Length: 5\r\nContent-Length: 40\r\n\r\nabcde"
bad 400 invalid_request "the same length twice" "${post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde"
bad 400 invalid_request "a folded length" "${post}X: y\r\n Content-Length: 5\r\n\r\n"
bad 400 invalid_request "a length behind a bare line feed" "${get}X: y\nContent-Length: 38\r\n\r\n"
bad 400 invalid_request "two Content-Type" "${post}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"
bad 400 invalid_request "length and chunks" "${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
for coding in xchunked gzip "gzip, chunked" "chunked, identity" identity '"chunked"' "chun ked" "chunked;q=1" "chunked,chunked" ""; do
  bad 400 invalid_request "Transfer-Encoding: $coding" "${post}Transfer-Encoding: $coding\r\n\r\n0\r\n\r\n"
done
bad 400 invalid_request "two Transfer-Encoding" "${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
bad 400 invalid_request "a folded Transfer-Encoding" "${post}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"
bad 400 invalid_request "chunks in HTTP/1.0" "${post/1.1/1.0}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"

# ---- chunks ----
chunks="${post}Transfer-Encoding: chunked\r\n\r\n"
for size in -2 +2 0x2 " 2" "2 " g "" fffffffffffffffff 10000000000000002 2_ "2\0000"; do
  bad 400 invalid_request "a chunk of size '$size'" "$chunks$size\r\n{}\r\n0\r\n\r\n"
done
bad 400 invalid_request "bare line feeds between chunks" "${chunks}2\n{}\n0\n\n"
bad 400 invalid_request "a bare line feed in an extension" "${chunks}2;a\nxx\r\n{}\r\n0\r\n\r\n"
bad 400 invalid_request "an extension of 4 KB" "${chunks}2;$(x 4000 a)\r\n{}\r\n0\r\n\r\n"
bad 400 invalid_request "a chunk that is longer than its size" "${chunks}2\r\n{}xx\r\n0\r\n\r\n"
bad 400 invalid_request "one without its end" "${chunks}2\r\n{}0\r\n\r\n"
bad 400 invalid_request "a length in the trailer" "${chunks}2\r\n{}\r\n0\r\nContent-Length: 50\r\n\r\n"
bad 400 invalid_request "a trailer without a colon" "${chunks}2\r\n{}\r\n0\r\nnocolon\r\n\r\n"
bad 431 header_too_large "a trailer of 40 KB" "${chunks}2\r\n{}\r\n0\r\nX: $(x 40000 x)\r\n\r\n"

# ---- what is well-formed ----
kept 200 "a request" "$get\r\n"
kept 200 "an empty line before it" "\r\n$get\r\n"
kept 404 "no route" "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
kept 404 "OPTIONS *" "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"
kept 405 "TRACE" "TRACE /livez HTTP/1.1\r\nHost: x\r\n\r\n"
kept 405 "a method in small letters" "get /livez HTTP/1.1\r\nHost: x\r\n\r\n"
kept 200 "an upgrade that is not taken" "${get}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
kept 400 "a zero byte in escapes" "GET /v1/files/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n"
kept 404 "escaped dots" "GET /v1/files/%2e%2e%2flivez HTTP/1.1\r\nHost: localhost\r\n\r\n"
kept 400 "an empty object" "${post}Content-Length: 2\r\n\r\n{}"
kept 400 "blanks before a length" "${post}Content-Length: \t 2\r\n\r\n{}"
kept 400 "it in chunks, with extension and trailer" "${chunks}1;a=b\r\n{\r\n0001\r\n}\r\n0\r\nX-T: 1\r\n\r\n"
kept 200 "a body that nobody asked for" "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd"
kept 200 "three at once" "$get\r\n$get\r\n$get\r\n"
((cases >= 90)) && ok "$cases cases" || not_ok "$cases cases" "some are missing"

# In pieces of one byte the same is found.
for text in "$get\r\n$last" "${get}A : b\r\n\r\n" "${chunks}1\r\n{\r\n1\r\n}\r\n0\r\n\r\n$last" "${chunks}2\r\n{}xx"; do
  exec 9<> "/dev/tcp/127.0.0.1/$port"; bytes=$(printf '%bE' "$text"); bytes=${bytes%E}
  for ((i = 0; i < ${#bytes}; i++)); do printf '%s' "${bytes:i:1}" >&9; done
  pieces=$(timeout 3 cat <&9 | grep -E '^HTTP|code'); exec 9>&-
  ask "$text"; is "${pieces//$'\r'/}" "$(grep -E '^HTTP|code' <<< "${reply//$'\r'/}")" "in pieces of one byte: ${text:0:20}"
done
stop; is "$code" 0 "exit 0"
like "$(< "$work/log")" '\(no method\) \(no route\) 400"' "what was refused is in the log"
unlike "$(< "$work/log")" 'was not seen as it came' "libmicrohttpd read nothing by itself"
finish
