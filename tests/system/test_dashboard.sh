#!/bin/bash
# The dashboard's files, as the daemon serves them: whole, packed, kept by caches, without a key, with nothing inline.
. "$(dirname "$0")/lib.sh"
printf 'secret-key-of-the-test\n' > "$work/key"; chmod 600 "$work/key"; start --api-key-file "$work/key"
header() { sed -n "s/^$1: //Ip" <<< "$headers"; }

call GET /; page=$body; is "$status" 200 "the page needs no key"
is "$(header content-type)" 'text/html; charset=utf-8' "it is HTML"
like "$(header content-security-policy)" "default-src 'none'; script-src 'self'; style-src 'self'" "and allows only what the server sends"
unlike "$(header content-security-policy)" 'unsafe|\*|http' "nothing else"
unlike "$page" '<script>|<style>| style=| on[a-z]+=|https?://' "nothing is inline or from elsewhere"
call GET / -H 'Accept: application/json'; is "$status $(header content-type)" '200 text/html; charset=utf-8' "whatever is accepted"
call GET /docs; cmp -s "$work/body" "$root/server/web/docs.html" && ok "the page of the API" || not_ok "the page of the API" "$status"
unlike "$body" '<script>|<style>| style=| on[a-z]+=|https?://' "has nothing inline or from elsewhere"
call GET /openapi.json; is "$status" 200 "what it shows needs no key"
call POST / -d x; is "$status" 405 "it takes GET only"
call GET /v1/fine_tuning/jobs; is "$status" 401 "what it shows needs the key"

# Every file of the folder is served as it is, and the packed one is the same.
for file in "$root"/server/web/*; do
  name=${file##*/}; [[ $name == *.def ]] && continue
  call GET "/web/$name"; cmp -s "$work/body" "$file" && ok "/web/$name" || not_ok "/web/$name" "it is not the file: $status"
  etag=$(header etag)
  call GET "/web/$name" -H 'Accept-Encoding: br, gzip'; is "$(header content-encoding)" gzip "it is packed"
  gzip -dc < "$work/body" 2>/dev/null | cmp -s - "$file" && ok "and the same" || not_ok "and the same"
  [[ $(header etag) != "$etag" ]] && ok "with another ETag" || not_ok "with another ETag" "$etag"
done
is "$(grep -rhoE "(src|href)=\"web/[^\"]+\"|from '\./[^']+'" "$root/server/web" | sed -E "s/.*(web\/|\.\/)([^\"']+).*/\2/" | sort -u |
  while read -r name; do [[ -f $root/server/web/$name ]] || echo "$name"; done)" '' "whatever they name is there"
call GET /web/app.js -H "If-None-Match: $(call GET /web/app.js; header etag)"; is "$status$body" 304 "a cache asks whether it is still the same"
is "$(header cache-control)" no-cache "each time"
for coding in identity 'gzip;q=0' 'gzip;q=0.0' ''; do
  call GET /web/app.js -H "Accept-Encoding: $coding"; is "$(header content-encoding)" '' "not packed for '$coding'"
done
for coding in gzip 'gzip;q=0.5' 'br;q=1, gzip ; q=0.01' 'GZIP'; do
  call GET /web/app.js -H "Accept-Encoding: $coding"; is "$(header content-encoding)" gzip "packed for '$coding'"
done
call GET /web/nothing.js; is "$status $(value code)" '404 not_found' "no other file"
call GET /web/..%2fmain.c; is "$status $(value code)" '404 not_found' "none of another folder"
call GET /web/files.def; is "$status" 404 "nor the list of them"
unlike "$(grep -rnE 'innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(' "$root/server/web" --include='*.js' --exclude=uPlot.js)" . "no text becomes markup"
stop; is "$code" 0 "exit 0"
finish
