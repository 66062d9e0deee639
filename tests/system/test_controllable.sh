#!/bin/bash
# A job of controllable generation, with the real worker on a tiny diffusion pipeline: what an upload says of hints, what is refused
# and where, hints of the archive and edges that are found here, the files, the metrics, and that a pause leaves the same bytes.
. "$(dirname "$0")/lib.sh"
cp -r "$root/tests/worker/diffusion/pipeline" "$work/models/painter"
pictures=$root/tests/fuzz/corpus/image
mkdir -p "$work/dogs/hints"
cp "$pictures/jpeg-420" "$work/dogs/a.jpg"; cp "$pictures/png-palette" "$work/dogs/b.png"
cp "$pictures/png-palette" "$work/dogs/hints/a.png"; cp "$pictures/jpeg-progressive" "$work/dogs/hints/b.jpg"
pack() { printf '%s\n' "${@:2}" > "$work/dogs/metadata.jsonl"; (cd "$work/dogs" && rm -f "../$1" && zip -qr "../$1" .); }
line() { echo "{\"file_name\":\"$1\",\"text\":\"a dog\",\"conditioning_image\":\"$2\"}"; }
start_real

send() { call POST /v1/files -F purpose=fine-tune -F "file=@$work/$1"; file=$(value id); }
post() { call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"painter\",\"training_file\":\"$file\",\"validation_file\":\"$file\",\"task\":\"controllable\",\"seed\":1,\"hyperparameters\":{\"max_steps\":${steps:-4},\"batch_size\":2},\"adapter\":{\"r\":4},\"image\":{\"resolution\":16,\"num_inference_steps\":2,\"num_validation_images\":1$1}${2:-}}"; job=$(value id); }
refused() { post "$3" "${5:-}"; is "$status $(value code) $(value param)" "400 $2" "$1"; like "$body" "$4" "$1: says so"; }
artifact() { call GET "/v1/fine_tuning/jobs/$job/artifacts/$1"; }
sum() { artifact "$1"; [[ $status = 200 ]] && sha256sum < "$work/body"; }

pack lost.zip "$(line a.jpg hints/c.png)" "$(line b.png hints/b.jpg)"
send lost.zip; like "$body" 'metadata.jsonl, line 1: the archive has no image hints/c.png' "a hint that is not there"
cp "$pictures/png-exif-6" "$work/dogs/hints/a.png"; pack size.zip "$(line b.png hints/b.jpg)" "$(line a.jpg hints/a.png)"
send size.zip; like "$body" 'line 2 of metadata.jsonl: the conditioning_image hints/a.png is 23 x 29 pixels, its image a.jpg 29 x 23' "one of another size"
cp "$pictures/png-palette" "$work/dogs/hints/a.png"; rm "$work/dogs/hints/b.jpg"; pack half.zip "$(line a.jpg hints/a.png)" '{"file_name":"b.png","text":"a dog"}'
send half.zip; like "$body" '"with_conditioning_image":1' "counts hints"; like "$body" '1 of 2 images have no conditioning_image' "and what has none"
refused "a picture without a hint" "dataset_invalid training_file" '' 'not every image of .* has a conditioning_image'
refused "classes" "invalid_value image.with_prior_preservation" ',"with_prior_preservation":true,"class_prompt":"a dog"' 'have no hints'
refused "prompts of previews" "invalid_value image.validation_prompts" ',"conditioning":"canny","validation_prompts":["a"]' 'hints of the validation file'
cp "$pictures/jpeg-progressive" "$work/dogs/hints/b.jpg"; pack dogs.zip "$(line a.jpg hints/a.png)" "$(line b.png hints/b.jpg)"
send dogs.zip; like "$body" '"columns":\["image","text","conditioning_image"\]' "hints"; like "$body" '"examples":2,' "are no examples"
refused "edges that are not measured" "invalid_value evaluation.metric" '' 'where image.conditioning is canny' ',"evaluation":{"metric":"canny_f1"}'

post ''; is "$status" 200 "a job with hints"; like "$body" '"conditioning":"conditioning_image"' "is written out"
await succeeded "$job" 120 && ok "it succeeds" || not_ok "it succeeds" "$body"
artifact preview-4-1-1.png; is "$status" 200 "a preview"; artifact hint-1.png; is "$status" 200 "and a hint"; is "$(head -c 4 "$work/body" | tail -c 3)" PNG "is a PNG"
whole=$(sum conditioning_embedding.safetensors) || not_ok "the embedding" "no such artifact"
like "$(strings "$work/body")" 'controlnet_cond_embedding.conv_in.weight' "has diffusers' names"
post '' ',"checkpointing":{"every_steps":1}'
ran() { call GET "/v1/fine_tuning/jobs/$job/checkpoints"; [[ $body =~ step- ]]; }
soon ran; call POST "/v1/fine_tuning/jobs/$job/pause"; await paused "$job" 60
call POST "/v1/fine_tuning/jobs/$job/resume"; await succeeded "$job" 120 && ok "it goes on after a pause" || not_ok "it goes on" "$body"
is "$(sum conditioning_embedding.safetensors)" "$whole" "the same bytes"

post ',"conditioning":"canny"' ',"evaluation":{"metric":"canny_f1"}'; await succeeded "$job" 120 && ok "edges" || not_ok "edges" "$body"
artifact step_metrics.csv; like "$body" 'canny_iou' "are measured"
model=$(call GET "/v1/fine_tuning/jobs/$job"; value fine_tuned_model)
cp -r "$root/tests/worker/encoders/"{clip,dino} "$work/models/"
refused "a subject's encoder" "invalid_value image.dino_model" ',"dino_model":"dino"' 'is for the task subject-driven alone'
post ',"clip_model":"clip"' ',"evaluation":{"every_steps":2}'; await succeeded "$job" 120 && ok "previews that CLIP measures" || not_ok "previews that CLIP measures" "$body"
artifact step_metrics.csv; is "$(head -n 1 "$work/body" | tr , '\n' | grep -c -e '^valid_clip_t$' -e '^valid_clip_i$' -e '^valid_dino$')" 1 "are measured by CLIP-T alone: there is no subject"
column=$(head -n 1 "$work/body" | tr , '\n' | grep -n '^valid_clip_t$' | cut -d : -f 1)
like "$(cut -d , -f "$column" "$work/body" | tail -n +2 | tr '\n' ' ')" '^-?0\.[0-9]+ *-?0\.[0-9]+.*-?0\.[0-9]+ $' "at each evaluation"
call POST /v1/images/generations -H 'Content-Type: application/json' -d "{\"model\":\"$model\",\"prompt\":\"a dog\",\"size\":\"16x16\",\"num_inference_steps\":2}"
is "$status $(value code) $(value param)" "400 invalid_value conditioning_image" "no picture without a hint"
reflect() { "$(dirname "$REFLECTD")/reflect" --url "$url" "$@"; }
made() { reflect images "$model" --prompt "a dog" --steps 2 --seed 3 --conditioning-image "$1" --output "$2"; }
artifact preview-4-1-1.png; cp "$work/body" "$work/first.png"; artifact preview-0-1-1.png; cp "$work/body" "$work/second.png"
made "$work/first.png" "$work/one.png" > "$work/out" 2>&1 && made "$work/first.png" "$work/again.png" > "$work/out" 2>&1 && ok "an image of a hint" || not_ok "an image of a hint" "$(cat "$work/out")"
cmp -s "$work/one.png" "$work/again.png" && ok "is the same again" || not_ok "is the same again" "$(cmp "$work/one.png" "$work/again.png")"
made "$work/second.png" "$work/two.png" > "$work/out" 2>&1; [[ -s $work/two.png ]] && ! cmp -s "$work/one.png" "$work/two.png" && ok "and another with another hint" || not_ok "and another with another hint" "$(cat "$work/out")"
made "$work/dogs/metadata.jsonl" "$work/none.png" > "$work/out" 2>&1 && not_ok "no image as a hint" "it is taken" || like "$(cat "$work/out")" 'conditioning_image: the file does not begin as' "no image as a hint"
finish
