#!/bin/sh
# A whole agent in a few lines of shell: the contract needs no SDK and no Python.
set -eu
dir="$BAQUP_STAGING_DIR/$BAQUP_JOB_ID"
bus="${BAQUP_BUS_URL#file://}/$BAQUP_JOB_ID.jsonl"
now() { date -u +%Y-%m-%dT%H:%M:%S.%6NZ; }
head() { printf '{"type":"%s","job_id":"%s","agent_id":"sh-1","timestamp":"%s"' "$1" "$BAQUP_JOB_ID" "$(now)"; }

{ head heartbeat; echo ',"seq":1,"state":"running"}'; } >> "$bus"
mkdir -p "$dir/.staging"
tar -C "$BAQUP_SOURCE_PATH" -cf "$dir/.staging/data.tar" .
size=$(wc -c < "$dir/.staging/data.tar")
sum=$(sha256sum "$dir/.staging/data.tar" | cut -d' ' -f1)
printf '{"version":"1.0","job_id":"%s","agent":"agent-sh","role":"%s","created_at":"%s","artifacts":[{"filename":"data.tar","size_bytes":%d,"checksum":{"algorithm":"sha256","value":"%s"}}]}' \
    "$BAQUP_JOB_ID" "$1" "$(now)" "$size" "$sum" > "$dir/.staging/manifest.json"
mv "$dir/.staging/data.tar" "$dir/data.tar"
sync "$dir"
mv "$dir/.staging/manifest.json" "$dir/manifest.json"
{
    head status
    printf ',"seq":2,"agent":"agent-sh","role":"%s","status":"success","exit_code":0,"started_at":"%s","completed_at":"%s","files":[{"path":"data.tar","size_bytes":%d,"checksum_sha256":"%s"}],"metrics":{"duration_seconds":0},"warnings_summary":{},"error":null}\n' \
        "$1" "$(now)" "$(now)" "$size" "$sum"
} >> "$bus"
