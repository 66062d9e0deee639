#!/bin/bash
# The manual's pages: all that --help lists is in them, and what formats them finds nothing wrong.
. "$(dirname "$0")/lib.sh"
reflect=$(dirname "$REFLECTD")/reflect
"$reflect" --man > "$work/reflect.1"; is "$?" 0 "reflect(1)"
"$REFLECTD" --man > "$work/reflectd.8"; is "$?" 0 "reflectd(8)"
"$REFLECTD" --man-config > "$work/reflectd.conf.5"; is "$?" 0 "reflectd.conf(5)"
# lacking PAGE WORD...: words that are not in it as bold terms.
lacking() { local page=$1 word; shift; for word in "$@"; do grep -qF "\\fB${word//-/\\-}\\fR" "$page" || echo "$word"; done; }
mapfile -t flags < <("$REFLECTD" --help | grep -oE '^  --[a-z-]+' | tr -d ' ')
[[ ${#flags[@]} -gt 30 ]] && ok "the daemon has options" || not_ok "the daemon has options" "${#flags[@]}"
is "$(lacking "$work/reflectd.8" "${flags[@]}" fsck backup restore keys tenants healthcheck)" "" "all are in its page, and its commands"
mapfile -t members < <("$REFLECTD" --write-example | grep -oE '^  "[a-z_]+"' | tr -d ' "')
is "$(lacking "$work/reflectd.conf.5" "${members[@]}" api_key)" "" "all members are in that of its file"
mapfile -t commands < <("$reflect" --help | grep -oE '^  [a-z]+( [a-z]+)?' | sed 's/^  //')
[[ ${#commands[@]} -gt 40 ]] && ok "the client has commands" || not_ok "the client has commands" "${#commands[@]}"
is "$(lacking "$work/reflect.1" "${commands[@]}" --url --profile)" "" "all are in its page"
is "$(lacking "$work/reflect.1" $("$reflect" jobs create --help | grep -oE '^  --[a-z-]+'))" "" "with their options"
# Whose help is asked for, and whose is named where something is missing.
like "$("$reflect" chat --help)" 'usage: reflect chat MODEL \[OPTION...\].*--message TEXT' "a command that is one word has its own help"
like "$("$reflect" jobs --help)" 'usage: reflect jobs VERB.*jobs create' "those of several list them"
for wrong in 'chat|missing: MODEL|chat' 'jobs get|missing: ID|jobs get' 'jobs create --frob|no option --frob|jobs create' \
  'jobs frob|no such verb: frob|jobs' 'frob|no such command: frob|'; do
  IFS='|' read -r line says help <<< "$wrong"
  is "$("$reflect" $line 2>&1)" "reflect: $says"$'\n'"try: reflect ${help:+$help }--help" "$line: what is wrong, and where to read on"
done
for page in reflect.1 reflectd.8 reflectd.conf.5; do
  if command -v mandoc > /dev/null; then is "$(mandoc -Tlint -Wall "$work/$page" 2>&1)" "" "mandoc has nothing to say of $page"
  else ok "mandoc is not here to read $page # SKIP"; fi
  if command -v groff > /dev/null; then is "$(groff -man -ww -z "$work/$page" 2>&1)" "" "groff neither"
  else ok "groff is not here to read $page # SKIP"; fi
done
finish
