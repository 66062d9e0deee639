#!/bin/bash
# Uploads in parts: any order, several at once, again after kill -9; what does not fit together is refused; what is given
# up, or not complete in time, leaves nothing. And `reflect files put`, which goes on where it was interrupted.
. "$(dirname "$0")/lib.sh"
reflect=${REFLECTD%reflectd}reflect
# begin BYTES [NAME]: sets upload. part FILE [UPLOAD]: sets part. complete JSON [UPLOAD]
begin() {
  call POST /v1/uploads -H 'Content-Type: application/json' \
    -d "{\"bytes\":$1,\"filename\":\"${2:-train.jsonl}\",\"purpose\":\"fine-tune\",\"mime_type\":\"application/jsonl\"}"
  upload=$(value id)
}
part() { call POST "/v1/uploads/${2:-$upload}/parts" -F "data=@$1"; part=$(value id); }
complete() { call POST "/v1/uploads/${2:-$upload}/complete" -H 'Content-Type: application/json' -d "$1"; }
stored() { find "$work/data/files" -type f | wc -l; }
emptied() { for _ in {1..50}; do (($(stored) == $1)) && break; sleep 0.1; done; is "$(stored)" "$1" "$2"; }
start --upload-bytes-max 20000000

seq 40000 | sed 's/.*/{"text":"good &","label":"a"}/' > "$work/train.jsonl"
split -n 4 -d "$work/train.jsonl" "$work/p"
bytes=$(stat -c %s "$work/train.jsonl") md5=$(md5sum < "$work/train.jsonl" | cut -d' ' -f1)
begin "$bytes"; is "$status $(value object) $(value status) $(value bytes)" "200 upload pending $bytes" "an upload begins"
like "$(value expires_at)" '^[0-9]+$' "and says when its time is over"
for i in 3 1 0 2; do # all at once, the last first
  curl -sS -o "$work/part$i" -F "data=@$work/p0$i" "$url/v1/uploads/$upload/parts" &
  waits+=($!)
done
wait "${waits[@]}"
id() { body=$(< "$work/part$1"); value id; }
order="\"$(id 0)\",\"$(id 1)\",\"$(id 2)\",\"$(id 3)\""
body=$(< "$work/part0"); is "$(value object) $(value upload_id)" "upload.part $upload" "parts arrive together, in any order"
part "$work/p02"; is "$status $part" "200 $(id 2)" "one that is sent again is the one that is there"
call GET "/v1/uploads/$upload/parts?limit=3&order=asc"; is "$(grep -o upload.part <<< "$body" | wc -l) $(value has_more)" "3 true" "the parts that are there are listed"
call GET "/v1/uploads/$upload"; is "$(value bytes_received)" "$bytes" "and counted"
complete "{\"part_ids\":[\"$(id 0)\"]}"; is "$status $(value param)" "400 part_ids" "fewer bytes than were announced"; like "$body" "made for $bytes" "are told"
complete "{\"part_ids\":[$order],\"md5\":\"$(printf 0%.0s {1..32})\"}"; is "$status $(value param)" "400 md5" "another MD5"
complete "{\"part_ids\":[$order],\"md5\":\"x\"}"; is "$status $(value param)" "400 md5" "what is no MD5"
complete '{"part_ids":["part_none"]}'; is "$status $(value param)" "400 part_ids" "a part that is not there"
complete '{"part_ids":[1]}'; is "$status" 400 "what is no id"
complete "{\"part_ids\":[$order],\"md5\":\"${md5^^}\"}"
is "$status $(value status)" "200 completed" "the upload is completed"
like "$body" '"file":\{"id":"(file-[^"]*)",.*"status":"processed"' "with a file that was checked"; file=${BASH_REMATCH[1]}
curl -sS "$url/v1/files/$file/content" | cmp - "$work/train.jsonl" && ok "whose bytes are in the order that was given" || not_ok "whose bytes are in the order that was given"
complete "{\"part_ids\":[$order],\"md5\":\"${md5^^}\"}"; is "$status" 200 "the same request again has the same answer"; like "$body" "$file" "and makes no second file"
complete "{\"part_ids\":[$order]}"; is "$status $(value code)" "409 upload_already_ended" "another one is refused"
part "$work/p00"; is "$status $(value code)" "409 upload_already_ended" "and so is a part"
call POST "/v1/uploads/$upload/cancel"; is "$status" 409 "and giving it up"
emptied 1 "its parts are gone"
submit ok; await succeeded && ok "a job trains on it" || not_ok "a job trains on it" "$body"

begin 10; part "$work/p00"; is "$status $(value code)" "413 file_too_large" "more than was announced"
head -c 6 "$work/p00" > "$work/six"; part "$work/six"; head -c 6 "$work/p01" | tr a-z A-Z > "$work/other"; part "$work/other"
is "$status $(value param)" "400 data" "more in sum"; like "$body" 'with this one 12; the upload was made for 10' "is told with the numbers"
call POST "/v1/uploads/$upload/parts" -F "file=@$work/six"; is "$status $(value param)" "400 name" "a field that is not data"
call POST "/v1/uploads/$upload/parts" -F "x=1" ; is "$status" 400 "no file"
call POST "/v1/uploads/$upload/cancel"; is "$status $(value status)" "200 cancelled" "it is given up"
call POST "/v1/uploads/$upload/cancel"; is "$status" 200 "twice"
emptied 1 "and leaves nothing"
call GET /v1/uploads; is "$(grep -o '"object":"upload"' <<< "$body" | wc -l)" 2 "uploads are listed"
begin 20000001; is "$status $(value code)" "413 file_too_large" "a file that is too large is refused at once"
begin -1; is "$status $(value param)" "400 bytes" "a number that is none"
call POST /v1/uploads -H 'Content-Type: application/json' -d '{"bytes":1,"filename":"f","purpose":"batch"}'; is "$(value code)" invalid_file_purpose "another purpose"
call POST /v1/uploads -H 'Content-Type: application/json' -d '{"bytes":1,"filename":"f","purpose":"fine-tune","expires_after":{"anchor":"created_at","seconds":60}}'; is "$(value param)" expires_after.seconds "a time that is too short"
for path in upload_none upload_none/parts; do call GET "/v1/uploads/$path"; is "$status $(value code)" "404 upload_not_found" "GET $path"; done
part "$work/six" upload_none; is "$status $(value code)" "404 upload_not_found" "a part of nothing"
begin 0 empty.jsonl; complete '{"part_ids":[]}'; is "$status $(value status)" "200 completed" "no bytes in no parts"

# ---- interruptions ----
begin "$bytes"; part "$work/p00"; first=$part; part "$work/p01"; second=$part
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" && ok "fsck knows parts" || not_ok "fsck knows parts" "$(< "$work/fsck")"
stop KILL
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" && ok "also of a daemon that died" || not_ok "also of a daemon that died" "$(< "$work/fsck")"
"$REFLECTD" backup --data "$work/data" --to "$work/backup" > /dev/null 2>&1 && "$REFLECTD" fsck --data "$work/backup" > /dev/null && ok "a backup has them" || not_ok "a backup has them"
start --upload-expires-s 2
call GET "/v1/uploads/$upload/parts"; like "$body" "$second.*$first" "the parts outlive kill -9"
part "$work/p02"; third=$part; part "$work/p03"
complete "{\"part_ids\":[\"$first\",\"$second\",\"$third\",\"$part\"],\"md5\":\"$md5\"}"; is "$status $(value status)" "200 completed" "and the upload goes on"
begin 6; part "$work/six"; sleep 2.2
call GET "/v1/uploads/$upload"; is "$(value status)" expired "one that is not complete in time has expired"
complete "{\"part_ids\":[\"$part\"]}"; is "$status $(value code)" "409 upload_already_ended" "and is refused"
stop; start # which looks for them too
emptied 3 "its parts are removed"

# ---- the command line ----
export REFLECT_URL=$url
head -c 3500000 /dev/urandom | base64 -w 90 | sed 's/.*/{"text":"&","label":"a"}/' > "$work/big.jsonl"
split -b 1M -d "$work/big.jsonl" "$work/b"
begin "$(stat -c %s "$work/big.jsonl")" big.jsonl; part "$work/b00"; part "$work/b02"
"$reflect" files put --part-mib 1 "$work/big.jsonl" > "$work/said" 2> "$work/told"; is "$?" 0 "reflect sends a large file in parts"
like "$(< "$work/told")" "going on with $upload: 2097152 of" "and goes on where it was interrupted"
curl -sS "$url/v1/files/$(< "$work/said")/content" | cmp - "$work/big.jsonl" && ok "the file is whole" || not_ok "the file is whole"
begin "$(stat -c %s "$work/big.jsonl")" big.jsonl; part "$work/p00"
"$reflect" files put --part-mib 2 "$work/big.jsonl" > "$work/said" 2> "$work/told"; is "$? $(< "$work/told")" "0 " "an upload of other bytes is not taken up"
"$REFLECTD" fsck --data "$work/data" > "$work/fsck" && ok "nothing is wrong in the end" || not_ok "nothing is wrong in the end" "$(< "$work/fsck")"
stop; is "$code" 0 "exit 0"
finish
