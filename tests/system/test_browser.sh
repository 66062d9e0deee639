#!/bin/bash
# What a page of somebody else can make a browser send to a server without keys: requests under a name that was bound
# anew to its address, forms, and requests of other origins. And what a page may that the operator allows.
. "$(dirname "$0")/lib.sh"
start
evil=(-H 'Origin: http://evil.example' -H 'Sec-Fetch-Site: cross-site')
upload train.jsonl; is "$status" 200 "no browser: an upload"
submit ok; is "$status" 200 "and a job"

# ---- names ----
for host in evil.example "evil.example:$port" 169.254.169.254 localhost.evil.example 127.0.0.1@evil.example '[::1' ''; do
  call GET /v1/files -H "Host: $host"; [[ -n $host ]] || call GET /v1/files -H 'Host;'
  is "$status $(value code)" "403 host_not_allowed" "the name '$host'"; unlike "$body" "$file" "learns nothing"
done
call GET /v1/files -H 'Host: evil.example'; like "$body" 'allowed_hosts' "the option is named"
call DELETE "/v1/files/$file" -H 'Host: evil.example'; is "$status" 403 "nor deletes"
for host in localhost "localhost:$port" LOCALHOST a.localhost 127.0.0.1 127.1.2.3:80 '[::1]:80'; do
  call GET /v1/files -H "Host: $host"; is "$status" 200 "the name $host"
done
for probe in /livez /readyz /version /openapi.json; do call GET $probe -H 'Host: balancer'; is "$status" 200 "a probe under any name: $probe"; done

# ---- pages ----
call POST /v1/files "${evil[@]}" -F purpose=fine-tune -F "file=@$work/train.jsonl"; is "$status $(value code)" "403 origin_not_allowed" "another page uploads by a form"
like "$body" 'allowed_origins' "the option is named"
json="{\"model\":\"tiny\",\"training_file\":\"$file\"}"
for type in text/plain application/x-www-form-urlencoded '' application/json; do
  call POST /v1/fine_tuning/jobs "${evil[@]}" -H "Content-Type: $type" -d "$json"; is "$status $(value code)" "403 origin_not_allowed" "it creates a job as '$type'"
done
call POST "/v1/fine_tuning/jobs/$job/cancel" "${evil[@]}"; is "$status" 403 "it cancels"
call DELETE "/v1/files/$file" "${evil[@]}"; is "$status" 403 "it deletes"
call POST "/v1/fine_tuning/jobs/$job/cancel" -H 'Origin: null'; is "$status" 403 "a page of no origin"
call OPTIONS /v1/files "${evil[@]}" -H 'Access-Control-Request-Method: DELETE'; unlike "$headers" 'Access-Control' "a preflight is not answered"
call GET /v1/files "${evil[@]}"; is "$status" 200 "it asks"; unlike "$headers" 'Access-Control' "but may not read"
call POST /v1/fine_tuning/jobs -H "Origin: http://localhost:$port" -H "Host: localhost:$port" -H 'Content-Type: application/json' -d "$json"
is "$status" 200 "a page of this server's own"

# ---- the type of a body ----
for type in text/plain application/x-www-form-urlencoded application/jsonx; do
  call POST /v1/fine_tuning/jobs -H "Content-Type: $type" -d "$json"; is "$status $(value code)" "415 unsupported_media_type" "JSON as $type"
  like "$body" 'needs the header ..Content-Type: application/json' "is told what to add"
done
call POST /v1/fine_tuning/jobs -H 'Content-Type:' -d "$json"; is "$status $(value code)" "415 unsupported_media_type" "JSON without a type"
for type in 'application/json; charset=utf-8' 'Application/JSON' 'application/json;charset=utf-8'; do
  call POST /v1/fine_tuning/jobs -H "Content-Type: $type" -d "$json"; is "$status" 200 "JSON as $type"
done
stop; is "$code" 0 "exit 0"

# ---- what the operator allows ----
start --allowed-hosts 'ft.example.org, box:81' --allowed-origins 'https://ui.example.org,http://localhost:3000'
call GET /v1/files -H 'Host: ft.example.org:443'; is "$status" 200 "a name that is listed"
call GET /v1/files -H 'Host: box:81'; is "$status" 200 "one with its port"
call GET /v1/files -H 'Host: box:82'; is "$status" 403 "and with another"
page=(-H 'Origin: https://ui.example.org')
call OPTIONS /v1/fine_tuning/jobs "${page[@]}" -H 'Access-Control-Request-Method: POST' -H 'Access-Control-Request-Headers: authorization,content-type'
is "$status" 204 "a preflight"; like "$headers" 'Access-Control-Allow-Origin: https://ui.example.org' "allows the origin"
like "$headers" 'Access-Control-Allow-Headers: authorization,content-type' "and its headers"; like "$headers" 'Access-Control-Allow-Methods: GET, POST, DELETE' "and methods"
call POST /v1/fine_tuning/jobs "${page[@]}" -H 'Content-Type: application/json' -d "$json"; is "$status" 200 "a page that is listed"
like "$headers" 'Access-Control-Allow-Origin: https://ui.example.org' "may read the answer"; like "$headers" 'Vary: Origin' "which caches keep apart"
call POST /v1/fine_tuning/jobs "${evil[@]}" -H 'Content-Type: application/json' -d "$json"; is "$status" 403 "others may not"; unlike "$headers" 'Access-Control' "nor read why"
stop
printf 'secret-key-of-the-test\n' > "$work/key"; chmod 600 "$work/key"; start --api-key-file "$work/key"
call GET /v1/files -H 'Host: evil.example'; is "$status" 401 "with keys: a page has none"
call GET /v1/files -H 'Host: behind.a.proxy' -H 'Authorization: Bearer secret-key-of-the-test'; is "$status" 200 "whoever has one may come by any name"
stop; is "$code" 0 "exit 0"
finish
