#!/bin/bash
# A job that learns a subject from pictures, with the real worker on a tiny diffusion pipeline: what an upload says, what is refused
# and where, an estimate, the job to its adapter and previews, and that one that is paused or killed leaves the same bytes.
. "$(dirname "$0")/lib.sh"
cp -r "$root/tests/worker/diffusion/pipeline" "$work/models/painter"
mkdir "$work/models/gpt2"; cp "$root"/tests/golden/cases/gpt2-lora/model/* "$work/models/gpt2/"; printf '<|endoftext|>\nw1\nw2\n' > "$work/models/gpt2/vocab.txt"
pictures=$root/tests/fuzz/corpus/image
mkdir "$work/dogs"
cp "$pictures/png-exif-6" "$work/dogs/a.png"; cp "$pictures/jpeg-420" "$work/dogs/b.jpg"; cp "$pictures/webp-exif-6" "$work/dogs/c.webp"
(cd "$work/dogs" && zip -q ../dogs.zip ./*)
start_real

send() { call POST /v1/files -F purpose=fine-tune -F "file=@$work/$1"; file=$(value id); }
post() { call POST "/v1/fine_tuning/jobs${2:-}" -H 'Content-Type: application/json' -d "{\"model\":\"painter\",\"training_file\":\"$file\",\"task\":\"${task:-subject-driven}\",\"seed\":1,\"hyperparameters\":{\"max_steps\":${steps:-6},\"learning_rate\":0.01},\"adapter\":{\"r\":4}$1}"; job=$(value id); }
refused() { post "$3"; is "$status $(value code) $(value param)" "400 $2" "$1"; like "$body" "$4" "$1: says so"; }
artifact() { call GET "/v1/fine_tuning/jobs/$job/artifacts/$1"; }

printf '\x89PNG\r\n\x1a\n' > "$work/dogs/d.png"; (cd "$work/dogs" && zip -q ../bad.zip ./*); rm "$work/dogs/d.png"
send bad.zip; like "$body" '"status":"error"' "a damaged picture"; like "$body" 'd.png: the PNG is truncated after 8 bytes' "is named"
echo '{"file_name":"e.png"}' > "$work/dogs/metadata.jsonl"; (cd "$work/dogs" && zip -q ../bad.zip metadata.jsonl && zip -qd ../bad.zip d.png)
send bad.zip; like "$body" 'metadata.jsonl, line 1: the archive has no image e.png' "so is a line"
printf '{"file_name":"a.png","text":"%s"}\n' "$(printf 'dog %.0s' {1..90})" > "$work/dogs/metadata.jsonl"; (cd "$work/dogs" && zip -q ../long.zip a.png metadata.jsonl); rm "$work/dogs/metadata.jsonl"
upload text.jsonl; texts=$file
send dogs.zip; like "$body" '"kind":"images","examples":3,' "pictures"; like "$body" '"width":\{"min":23,"max":29\}' "turned as EXIF says"
call GET "/v1/files/$file/validation"; is "$status $(value code)" "400 invalid_value" "their report is the file's"

prompt=',"image":{"instance_prompt":"a photo of a red dog","resolution":16'
refused "no prompt" "missing_required_parameter image.instance_prompt" '' 'not every image'
refused "no class" "missing_required_parameter image.class_prompt" "$prompt,\"with_prior_preservation\":true}" 'class_prompt'
refused "a setting that is none" "unknown_parameter image.prompt" "$prompt,\"prompt\":\"x\"}" 'not a known parameter'
refused "a size that the model cannot have" "invalid_value image.resolution" ',"image":{"instance_prompt":"x","resolution":18}' 'a multiple of 4'
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"painter\",\"training_file\":\"$file\",\"task\":\"subject-driven\",\"image\":{\"instance_prompt\":\"x\"},\"adapter\":{\"peft_type\":\"BOFT\",\"target_modules\":[\"to_q\",\"conv1\"]}}"
is "$status $(value param)" "400 adapter.target_modules" "a method on modules that it cannot be on"; like "$body" 'boft cannot be on .*conv1.* convolutions, which hra and plain lora can be on' "is refused with those that can"
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"painter\",\"training_file\":\"$file\",\"task\":\"subject-driven\",\"image\":{\"instance_prompt\":\"x\"},\"adapter\":{\"peft_type\":\"LORA\",\"use_dora\":true,\"target_modules\":[\"conv1\"]}}"
like "$body" 'lora with use_dora cannot be on .*conv1' "DoRA is one of them"
call POST /v1/fine_tuning/jobs -H 'Content-Type: application/json' -d "{\"model\":\"gpt2\",\"training_file\":\"$texts\"}"
is "$status $(value param)" "400 adapter.target_modules" "so is the default of a model"; like "$body" 'hra cannot be on .*c_attn.* Conv1D' "whose modules are of another kind"
task=classification refused "another task" "unsupported_value task" '' 'can learn subject-driven'
file=$texts refused "texts" "dataset_invalid training_file" "$prompt}" 'is no archive of images'

send long.zip; refused "a text that is too long" "dataset_invalid training_file" "$prompt}" 'long.zip: a.png: the text has [0-9]+ tokens'
words=$(printf 'dog %.0s' {1..90}); send dogs.zip
refused "a prompt that is too long" "invalid_value image.instance_prompt" ",\"image\":{\"instance_prompt\":\"$words\",\"resolution\":16}" 'image.instance_prompt has [0-9]+ tokens'
refused "one of a class" "invalid_value image.class_prompt" "$prompt,\"with_prior_preservation\":true,\"class_prompt\":\"$words\"}" 'image.class_prompt has [0-9]+ tokens'
refused "one of a preview" "invalid_value image.validation_prompts" "$prompt,\"validation_prompts\":[\"a dog\",\"$words\"]}" 'image.validation_prompts has [0-9]+ tokens'
send dogs.zip; post "$prompt}" '?dry_run=true'; is "$status" 200 "an estimate"; like "$body" '"fits":true' "fits"; like "$body" '"learns":"image generation"' "says what is learnt"
rest=',"with_prior_preservation":true,"class_prompt":"a dog","num_class_images":2,"num_inference_steps":2,"validation_prompts":["a dog"],"num_validation_images":1}'
post "$prompt$rest"; is "$status" 200 "a job"; like "$body" '"image":\{"instance_prompt":"a photo of a red dog"' "is written out"
await succeeded "$job" 60 && ok "it succeeds" || not_ok "it succeeds" "$body"
artifact preview-6-1-1.png; is "$status" 200 "a preview"; is "$(head -c 4 "$work/body" | tail -c 3)" PNG "is a PNG"
artifact adapter_config.json; like "$body" '"peft_type": "HRA"' "the adapter"; artifact README.md; like "$body" 'pipeline.unet = PeftModel' "and how it is used"
artifact training_manifest.json; like "$body" 'unet/diffusion_pytorch_model.safetensors' "the manifest has the pipeline's files"

sum() { call GET "/v1/fine_tuning/jobs/$job/artifacts/adapter_model.safetensors"; sha256sum < "$work/body"; }
previews() { call GET "/v1/fine_tuning/jobs/$job/artifacts"; grep -oE '"name":"preview[^}]*"sha256":"[0-9a-f]*"' <<< "$body"; }
long="$prompt,\"num_inference_steps\":2,\"validation_prompts\":[\"a dog\"],\"num_validation_images\":1},\"evaluation\":{\"every_steps\":50},\"checkpointing\":{\"every_steps\":50}"
steps=300; post "$long"; await succeeded "$job" 600 && whole=$(sum) || not_ok "a long one" "$body"
shown=$(previews); is "$(wc -l <<< "$shown")" 7 "previews at each evaluation"
post "$long"
ran() { call GET "/v1/fine_tuning/jobs/$job/checkpoints"; [[ $body =~ step- ]]; }
soon ran; call POST "/v1/fine_tuning/jobs/$job/pause"; await paused "$job" 600 && ok "it pauses" || not_ok "it pauses" "$body"
artifact preview-0-1-1.png; is "$status" 200 "previews are there before the job has ended"
call POST "/v1/fine_tuning/jobs/$job/resume"; soon ran
worker=$(pgrep -P "$pid" -f reflect-worker | head -1); [[ -n $worker ]] && kill -KILL "$worker"
await succeeded "$job" 600 && ok "it goes on after a pause and a crash" || not_ok "it goes on" "$body"
call GET "/v1/fine_tuning/jobs/$job/logs"; like "$body" 'Training goes on after step' "from its state"
is "$(sum)" "$whole" "the same bytes"
is "$(previews | sort)" "$(sort <<< "$shown")" "and the same previews"
post "$long"; soon ran; call POST "/v1/fine_tuning/jobs/$job/cancel"; await cancelled "$job" 60
artifact preview-0-1-1.png; is "$status" 200 "a cancelled job keeps its previews"
call DELETE "/v1/fine_tuning/jobs/$job"; is "$status" 200 "it is deleted"; artifact preview-0-1-1.png; is "$status" 404 "with them"
stop; "$REFLECTD" fsck --data "$work/data" > "$work/fsck" 2>&1; is "$?" 0 "and the store is whole" || cat "$work/fsck"
finish
