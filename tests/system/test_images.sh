#!/bin/bash
# Images of prompts with the real worker on a tiny diffusion pipeline: what the model is said to be good for, images by
# HTTP and by the command line, of the base and of adapters, what is refused and by which name, and who leaves.
. "$(dirname "$0")/lib.sh"
cp -r "$root/tests/worker/diffusion/pipeline" "$work/models/painter"
mkdir -p "$work/models/broken" && cp -r "$work/models/painter/." "$work/models/broken/" && rm "$work/models/broken/vae/config.json"
mkdir -p "$work/models/xl" && echo '{"_class_name": "StableDiffusionXLPipeline"}' > "$work/models/xl/model_index.json"
mkdir "$work/models/bert" && cp "$root"/tests/golden/cases/bert-hra/model/* "$work/models/bert" && printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n' > "$work/models/bert/vocab.txt"
start_real
post() { call POST "/v1/${2:-images/generations}" -H 'Content-Type: application/json' -d "$1"; }
programs=$(cd "$(dirname "$REFLECTD")" && pwd)
reflect() { "$programs/reflect" --url "$url" "$@"; }
looked_at() { call GET "/v1/models/$1"; [[ $body != *'"usable":null'* ]]; }
image() { grep -o '"b64_json":"[^"]*"' "$work/body" | cut -d'"' -f4 | sed -n "${1:-1}p"; }
refused() { post "$1"; is "$status $(value code) $(value param)" "400 $2" "$3"; like "$body" "$4" "$3: says so"; }

# ---- the model ----
soon looked_at painter; like "$body" '"format":"diffusers","usable":true' "a pipeline is a model"
like "$body" '"architecture":"StableDiffusionPipeline","tasks":\["TEXT_TO_IMAGE"\],"max_seq_length":20' "with what it is good for"
like "$body" '"target_modules":\[.*"to_q".*"image":\{"size":"16x16","size_multiple":4,"scheduler":"PNDMScheduler"\}' "what of it can be adapted, and its images"
soon looked_at broken; like "$body" '"usable":false,"error":\{"code":"model_load_failed","message":"vae: ' "one that lacks a file cannot be used"
soon looked_at xl; like "$body" '"usable":false.*StableDiffusionXLPipeline' "nor one of another class"
upload texts.jsonl "$(printf '{"text":"a","label":"b"}\n{"text":"c","label":"d"}')"
post "{\"model\":\"painter\",\"training_file\":\"$file\"}" fine_tuning/jobs; is "$status $(value param)" "400 task" "no job classifies texts with it"
call GET /v1/capabilities; like "$body" '"id":"painter"' "the capabilities have it"

# ---- images ----
ask='"model":"painter","prompt":"a photo of a dog","num_inference_steps":4'
post "{$ask,\"seed\":7}"; is "$status" 200 "an image"; first=$(image)
like "$body" '"created":[0-9]+,"background":"opaque","output_format":"png","quality":"auto","size":"16x16","data":\[\{"b64_json":"iVBORw0KGgo[A-Za-z0-9+/=]+","seed":7\}\]' "as OpenAI has it"
is "$(base64 -d <<< "$first" | head -c 8 | od -An -tx1 | tr -d ' ')" 89504e470d0a1a0a "is a PNG"
post "{$ask,\"n\":3,\"seed\":6,\"response_format\":\"b64_json\",\"output_format\":\"png\",\"quality\":\"standard\",\"size\":\"auto\",\"user\":\"u\"}"
is "$(image 2)" "$first" "each of several has the seed after that before it"; is "$(grep -o '"seed":[0-9]*' "$work/body" | tr '\n' ' ')" '"seed":6 "seed":7 "seed":8 ' "and says it"
[[ $(image 1) != "$first" ]] && ok "another seed is another image" || not_ok "another seed is another image"
for more in '"negative_prompt":"a house"' '"guidance_scale":1' '"scheduler":"DDIMScheduler"' '"scheduler":"EulerDiscreteScheduler"' '"num_inference_steps":5'; do
  post "{\"model\":\"painter\",\"prompt\":\"a photo of a dog\",\"seed\":7,${more}$([[ $more == *steps* ]] || echo ',"num_inference_steps":4')}"; [[ $status == 200 && $(image) != "$first" ]] && ok "$more counts" || not_ok "$more counts" "$body"
done
post "{$ask,\"size\":\"24x16\"}"; like "$body" '"size":"24x16"' "a size"; like "$body" '"seed":[0-9]+' "without a seed one is drawn and told"

# ---- what is refused ----
refused "{$ask,\"size\":\"18x16\"}" "invalid_value size" "a size that the model cannot make" 'multiples of 4'
refused "{$ask,\"size\":\"16\"}" "invalid_value size" "a size that is none" 'WIDTHxHEIGHT'
refused "{$ask,\"size\":\"2048x2048\"}" "invalid_value size" "a size beyond the limit" '1048576 pixels'
refused "{$ask,\"negative_prompt\":\"$(printf 'a dog %.0s' {1..12})\"}" "invalid_value negative_prompt" "a prompt that is too long" 'the text encoder reads 20'
refused '{"model":"painter"}' "missing_required_parameter prompt" "no prompt" 'prompt is required'
refused "{$ask,\"n\":11}" "invalid_value n" "too many" '10'
refused "{$ask,\"response_format\":\"url\"}" "unsupported_value response_format" "a URL" 'b64_json'
refused "{$ask,\"quality\":\"hd\"}" "unsupported_value quality" "a quality" 'num_inference_steps'
refused "{$ask,\"background\":\"transparent\"}" "unsupported_value background" "a background" 'transparent'
refused "{$ask,\"output_format\":\"webp\"}" "unsupported_value output_format" "another format" 'PNG'
refused "{$ask,\"stream\":true}" "unsupported_value stream" "a stream" 'whole'
refused "{$ask,\"steps\":3}" "unknown_parameter steps" "a member that is none" 'steps'
refused '{"model":"broken","prompt":"a"}' "model_load_failed model" "a pipeline that cannot be used" 'vae'
post '{"model":"painter","messages":[{"role":"user","content":"hi"}]}' chat/completions; is "$status $(value code) $(value param)" "400 unsupported_value model" "a chat with it"
post '{"model":"bert","prompt":"a"}'; is "$status $(value code) $(value param)" "400 unsupported_value model" "an image of no pipeline"

# ---- adapters ----
for i in 1 2; do post "{$ask,\"seed\":$i}"; image | base64 -d > "$work/dog$i.png"; done
(cd "$work" && tar -cf dogs.tar dog1.png dog2.png)
call POST /v1/files -F purpose=fine-tune -F "file=@$work/dogs.tar"; file=$(value id)
post "{\"model\":\"painter\",\"training_file\":\"$file\",\"task\":\"subject-driven\",\"seed\":1,\"image\":{\"instance_prompt\":\"a photo of a dog\",\"resolution\":16},\"adapter\":{\"r\":4},\"hyperparameters\":{\"max_steps\":6,\"batch_size\":1,\"learning_rate\":0.1},\"checkpointing\":{\"every_steps\":3}}" fine_tuning/jobs
job=$(value id); await succeeded "$job" 200 && ok "a job learns from them" || not_ok "a job learns from them" "$body"
tuned=$(value fine_tuned_model)
post "{\"model\":\"$tuned\",\"prompt\":\"a photo of a dog\",\"num_inference_steps\":4,\"seed\":7}"; adapted=$(image)
[[ $status == 200 && $adapted == iVBOR* && $adapted != "$first" ]] && ok "a fine-tuned model makes images of its own" || not_ok "a fine-tuned model makes images of its own" "$body"
call GET "/v1/fine_tuning/jobs/$job/checkpoints"; checkpoint=$(grep -o '"fine_tuned_model_checkpoint":"[^"]*"' "$work/body" | tail -1 | cut -d'"' -f4)
post "{\"model\":\"$checkpoint\",\"prompt\":\"a photo of a dog\",\"num_inference_steps\":4,\"seed\":7}"
[[ $status == 200 && $(image) != "$first" && $(image) != "$adapted" ]] && ok "so does its first checkpoint" || not_ok "so does its first checkpoint" "$checkpoint: $body"
post "{$ask,\"seed\":7}"; is "$(image)" "$first" "and the base is as it was"
post "{\"model\":\"$tuned\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}" chat/completions; is "$status $(value param)" "400 model" "a chat with it"

# ---- who leaves ----
call POST /v1/images/generations -H 'Content-Type: application/json' -d '{"model":"painter","prompt":"a","num_inference_steps":999,"size":"128x128"}' --max-time 1
for _ in {1..100}; do call GET /metrics; [[ $body == *$'\nreflectd_generation_requests 0'* ]] && break; sleep 0.1; done
like "$body" 'kind="image",result="cancelled"\} 1' "who leaves is waited for no more"
post "{$ask,\"seed\":7}"; is "$(image)" "$first" "and the next one has the worker"

# ---- the command line ----
cd "$work" || exit 1
out=$(reflect images painter --prompt 'a photo of a dog' --steps 4 --seed 7 --output dog.png); is "$out" "dog.png (seed 7)" "reflect images"
is "$(base64 -w0 dog.png)" "$first" "writes the same image"
out=$(reflect images painter --prompt "a photo of a dog" --steps 4 --seed 7 --output dog.png 2>&1); is $? 2 "overwrites nothing"; like "$out" 'dog.png is there already' "and says so"
reflect images painter --prompt 'a dog' --steps 2 --n 2 --seed 1 > out; is "$(< out)" $'image-1.png (seed 1)\nimage-2.png (seed 2)' "several"
like "$(reflect --json images painter --prompt 'a dog' --steps 2)" '"b64_json": "' "or as JSON"
out=$(reflect images painter --prompt 'a dog' --size 5x5 2>&1); is $? 3 "what is refused"; like "$out" 'multiples of 4' "with the reason"
like "$(reflect models list)" 'painter .*diffusers .*usable' "reflect models list"

# ---- exports of what learnt a subject ----
tar -cf dogs.tar image-1.png image-2.png
call POST /v1/files -F purpose=fine-tune -F file=@dogs.tar; is "$status" 200 "an archive of images"; data=$(value id)
post "{\"model\":\"painter\",\"training_file\":\"$data\",\"task\":\"subject-driven\",\"adapter\":{\"r\":4},\"image\":{\"instance_prompt\":\"a dog\",\"resolution\":16},\"hyperparameters\":{\"n_epochs\":2,\"batch_size\":2}}" fine_tuning/jobs
is "$status" 200 "a job learns a subject"; job=$(value id)
job_ended() { call GET "/v1/fine_tuning/jobs/$job"; [[ $(value status) == succeeded ]]; }
soon job_ended; is "$(value status)" succeeded "and ends"
post '{"exports":["gguf-lora"]}' "fine_tuning/jobs/$job/exports"; like "$body" 'is for language models, and this one is an image model' "what is for language models is refused"
post '{"exports":["diffusers-lora","kohya-lora","merged:f32"]}' "fine_tuning/jobs/$job/exports"; is "$status" 200 "it can be exported"
exports_ended() { call GET "/v1/fine_tuning/jobs/$job/exports"; [[ $(grep -o '"status":"succeeded"' <<< "$body" | wc -l) == 3 ]]; }
soon exports_ended; is "$(grep -o '"status":"succeeded"' <<< "$body" | wc -l)" 3 "as each of the formats"
call GET "/v1/fine_tuning/jobs/$job/artifacts"; like "$body" 'pytorch_lora_weights.safetensors.*' "whose files are its artifacts"

# ---- previews that other models measure ----
cp -r "$root/tests/worker/encoders/"{clip,dino,dinov2} models/
measured() { post "{\"model\":\"painter\",\"training_file\":\"$data\",\"task\":\"subject-driven\",\"adapter\":{\"r\":4},\"image\":{\"instance_prompt\":\"a dog\",\"resolution\":16,\"validation_prompts\":[\"a dog\"],\"num_inference_steps\":2,$1},\"hyperparameters\":{\"n_epochs\":2,\"batch_size\":2}}" fine_tuning/jobs; }
measured '"clip_model":"clip","dino_model":"dino"'; is "$status" 200 "a job whose previews are measured"; job=$(value id)
soon job_ended; call GET "/v1/fine_tuning/jobs/$job/events"; like "$body" '"valid_clip_t":-?[0-9.e-]+,"valid_clip_i":-?[0-9.e-]+,"valid_dino":-?[0-9.e-]+' "tells CLIP-T, CLIP-I and DINO"
call GET "/v1/fine_tuning/jobs/$job/artifacts/training_manifest.json"; manifest=$(tr -d ' \n' <<< "$body")
for encoder in clip dino; do
  sum=$(sha256sum < "models/$encoder/model.safetensors"); like "$manifest" "\"${encoder}_model\":\{\"id\":\"$encoder\",\"files\":\[.*\"sha256\":\"${sum%% *}\"" "the manifest has the files of $encoder"
done
measured '"clip_model":"clip2"'; is "$status $(value code) $(value param)" "404 model_not_found image.clip_model" "an encoder that is not there"
measured '"clip_model":"dino"'; is "$status $(value param)" "400 image.clip_model" "an encoder of another kind"; like "$body" 'must be a CLIPModel; dino is none' "is refused by its name"
measured '"dino_model":"painter"'; is "$status $(value param)" "400 image.dino_model" "so is a model that is no encoder"
measured '"dino_model":"dinov2"'; is "$status" 200 "the second DINO serves too"; job=$(value id)
soon job_ended; call GET "/v1/fine_tuning/jobs/$job/events"; like "$body" '"valid_dino":-?[0-9.e-]+' "and is measured with"
call GET /v1/models/dinov2; like "$body" '"usable":true.*"architecture":"dinov2","tasks":\["IMAGE_FEATURE_EXTRACTION"\]' "by its architecture"
call GET /v1/models/clip; like "$body" '"usable":true.*"architecture":"clip","tasks":\["IMAGE_FEATURE_EXTRACTION"\]' "an encoder is a model"
sed -i 's/"rescale_factor": [0-9.]*/"rescale_factor": 0/' models/dino/preprocessor_config.json; call GET /v1/models/dino
like "$body" '"usable":false.*preprocessor_config.json' "one that cannot be used says why"

mkdir other && reflect models add "$root/tests/worker/diffusion/pipeline" --models other --name mine > out 2>&1; like "$(< out)" '^mine: StableDiffusionPipeline, ' "reflect models add"
reflect models add "$root/tests/worker/encoders/clip" --models other > out 2>&1; like "$(< out)" '^clip: clip, ' "and an encoder"
post "{\"model\":\"clip\",\"training_file\":\"$data\"}" fine_tuning/jobs; is "$status $(value code) $(value param)" "400 unsupported_value model" "which no job can train"; like "$body" 'clip is a CLIPModel: previews can be measured by it .image.clip_model' "and why"
[[ -s other/mine/unet/diffusion_pytorch_model.safetensors ]] && ok "copies its folders" || not_ok "copies its folders"
out=$(reflect models add models/xl --models other --name xl 2>&1); like "$out" 'StableDiffusionXLPipeline' "what cannot be used is not added"
finish
