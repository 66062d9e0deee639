#!/bin/bash
# Every answer has exactly the members that the OpenAPI document gives it.
. "$(dirname "$0")/lib.sh"
start
call GET /openapi.json; printf '%s' "$body" > "$work/openapi"
members() { awk -f "$here/members.awk" -v "path=$1"; }
# described SCHEMA PATH DESCRIPTION: the object at PATH of the last answer.
described() {
  is "$(members "$2" < "$work/body" | tr '\n' ' ')" "$(members "components.schemas.$1.properties" < "$work/openapi" | tr '\n' ' ')" "$3"
}

upload train.jsonl; described File "" "a file as it is uploaded"
call GET "/v1/files/$file"; described File "" "a file that is checked"
call GET /v1/files; described File data.0 "a file in a list"
submit ok ',"metadata":{"team":"a"}'; described Job "" "a job as it is created"
await succeeded; described Job "" "a job that has succeeded"
call GET /v1/fine_tuning/jobs; described Job data.0 "a job in a list"
call GET "/v1/fine_tuning/jobs/$job/events?limit=1"; described Event data.0 "an event"
call GET "/v1/fine_tuning/jobs/$job/checkpoints"; described Checkpoint data.0 "a checkpoint"
call GET "/v1/fine_tuning/jobs/$job/artifacts"; described Artifact data.0 "an artifact"
call POST "/v1/fine_tuning/jobs/$job/exports" -H 'Content-Type: application/json' -d '{"exports":["merged:f16"]}'
described Export data.0 "an export"
call GET /v1/models; described Model data.0 "a model in a list"
call GET /v1/models/tiny; described Model "" "a model"
call GET /v1/capabilities; described Capabilities "" "what jobs can ask for"
post() { call POST "$1" -H 'Content-Type: application/json' -d "{\"job\":{\"model\":\"tiny\",\"training_file\":\"$file\",\"suffix\":\"ok\"},\"grid\":{\"seed\":[1,2]}}"; }
post '/v1/fine_tuning/sweeps?dry_run=true'; described SweepEstimate "" "what a sweep would take"; described Estimate jobs.0.estimate "and each of its jobs"
post /v1/fine_tuning/sweeps; described Sweep "" "a sweep as it is created"; sweep=$(value id)
call GET "/v1/fine_tuning/sweeps/$sweep/results"; described SweepResults "" "a sweep's results"
call GET /v1/fine_tuning/sweeps; described Sweep data.0 "a sweep in a list"
call GET "/v1/fine_tuning/jobs?sweep=$sweep"; described Job data.0 "a job of a sweep"; like "$body" "\"sweep\":\{\"id\":\"$sweep" "which it names"
call POST "/v1/fine_tuning/sweeps/$sweep/cancel"; described Sweep "" "a sweep that is cancelled"
submit error; await failed; described Job "" "a job that has failed"
call DELETE "/v1/files/$file"; described Deleted "" "what is deleted"
call GET /v1/files/none; described Error "" "an error"
call GET /v1/organization/tenants; described Tenant data.0 "a tenant"
call GET /v1/organization/audit_logs; described AuditLog data.0 "an entry of the audit log"
call POST /v1/organization/admin_api_keys -H 'Content-Type: application/json' -d '{"name":"a"}'; described ApiKey "" "a key as it is made"
stop
finish
