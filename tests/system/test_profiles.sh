#!/bin/bash
# Named servers of the client: kept, chosen, never mixed up.
. "$(dirname "$0")/lib.sh"
reflect=$(dirname "$REFLECTD")/reflect
unset REFLECT_API_KEY REFLECT_URL REFLECT_PROFILE REFLECT_TENANT
export XDG_CONFIG_HOME=$work/config
kept=$work/config/reflect/config.json
run() { timeout 20 "$reflect" "$@" > "$work/said" 2> "$work/told"; code=$?; said=$(< "$work/said") told=$(< "$work/told"); }
printf 'secret-of-sixteen\n' > "$work/key"; chmod 600 "$work/key"; start --api-key-file "$work/key"

run profiles; is "$code $said" "0   NAME  URL  KEY  TENANT" "no profiles"
run --url "$url/v1" --key-file "$work/key" profiles add here; is "$code $told" "0 " "one is added"
like "$said" "\\* here  $url/v1  $work/key" "and is in use, being the first"
run profiles add far --url http://127.0.0.1:9 --key other --tenant team; is "$code" 0 "another"
unlike "$said" other "its key is not shown"; is "$(stat -c %a "$kept")" 600 "the file is its owner's alone"
run profiles add far --url http://127.0.0.1:9; is "$code" 2 "the same name again"; like "$told" 'already' "says so"
run profiles add new; is "$code" 2 "without an address"; like "$told" '--url is missing' "says what is missing"
run profiles add 'a b' --url "$url"; is "$code" 2 "a name with a space"
run files list; is "$code" 0 "the one in use is talked to, with its key"
run files list --profile far; is "$code" 4 "one that is named"; like "$told" '127.0.0.1:9' "is the other server"
REFLECT_PROFILE=far run files list; is "$code" 4 "or by the environment"
REFLECT_PROFILE=far run files list --profile here; is "$code" 0 "the command line goes before it"
REFLECT_URL=http://127.0.0.1:9 run files list; is "$code" 4 "so does an address of the environment before a profile"
REFLECT_API_KEY=wrong run files list; is "$code" 3 "and a key"
run files list --profile none; is "$code" 2 "no such profile"; like "$told" 'there are: here, far' "says which there are"
run files list --profile far --url "$url"; is "$code" 2 "two servers at once"
run profiles use far; is "$code" 0 "another is used"; run files list; is "$code" 4 "from now on"
run files list --url "$url"; is "$code" 3 "its key is not sent to another server"; like "$told" 'REFLECT_API_KEY' "which has none"
run --json profiles list; like "$said" '"name": "far",[^}]*"in_use": true,[^}]*"key": "kept here"' "as JSON"; unlike "$said" '"other"' "without the key"
chmod 644 "$kept"; run files list; is "$code" 2 "a file with a key that others may read"; like "$told" "chmod 600 $kept" "says what to do"
run completion bash; is "$code" 0 "what needs no server does not mind"
chmod 600 "$kept"; run profiles remove far; is "$code" 0 "one is removed"; unlike "$said" far "and is gone"
run profiles remove far; is "$code" 2 "once"
run doctor --profile here; like "$said" "ok +server .*$url" "doctor asks the named one"
stop
finish
