#!/usr/bin/env bash
# A whole agent in bash: no SDK, no Python, and a Redis client of its own. One process does
# everything but the archiving, so that a suspended agent is silent; it never waits for longer
# than a second, so that beats, signals and deadlines are looked at in time.
stop='' probed=''
trap 'stop=1' TERM INT
trap 'probed=1' USR1
trap '' PIPE
set -u
export LC_ALL=C TZ=UTC
job="${BAQUP_JOB_ID:-}" stage="${BAQUP_STAGING_DIR:-}" bus="${BAQUP_BUS_URL:-}"
prefix="${BAQUP_BUS_KEY_PREFIX:-baqup:}" buffer="${BAQUP_BUS_FALLBACK_DIR:-/tmp/baqup-buffer}"
dir="$stage/$job" agent_id="agent-sh-$$" seq=0 state='' work='' line='' bytes=0 files=0 moved='' heard=''
connected='' attempt_us=0 due_us=0 delivered='' unkept=''
exec {idle}<> <(:) # a pipe that nobody writes to: reading it with a time limit is a pause

# -- what is said on stderr ----------------------------------------------------------------

now_us() { us=${EPOCHREALTIME/[^0-9]/}; }
now() { now_us; printf -v time '%(%Y-%m-%dT%H:%M:%S)T.%06dZ' $((us / 1000000)) $((10#${us: -6})); }
json() { text=${1//\\/\\\\}; text=${text//\"/\\\"}; text=\"${text//[[:cntrl:]]/ }\"; }
log() { # log LEVEL MESSAGE [CONTEXT]
    local text time
    now; json "$2"
    printf '{"timestamp":"%s","level":"%s","job_id":"%s","message":%s,"context":%s}\n' \
        "$time" "$1" "${job//[\"\\]/}" "$text" "${3:-{\}}" >&2
}

# -- configuration -------------------------------------------------------------------------

declare -a wrong=()
whole() { [[ ! ${!1-} || ${!1} =~ ^[1-9][0-9]*$ || ${!1} == "${2-}" ]] || wrong+=("$1: expected a whole number"); }
read_configuration() {
    [[ $job =~ ^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$ ]] || wrong+=("BAQUP_JOB_ID: a UUID is required")
    [[ $stage ]] || wrong+=("BAQUP_STAGING_DIR: is required")
    [[ $bus =~ ^redis://(([^@:/]*)(:([^@/]*))?@)?([^:/@]+)(:([0-9]+))?(/[0-9]*)?$ ]] || wrong+=("BAQUP_BUS_URL: redis://host:port is required")
    user=${BASH_REMATCH[2]-} password=${BASH_REMATCH[4]-} host=${BASH_REMATCH[5]-} port=${BASH_REMATCH[7]:-6379}
    [[ ${BAQUP_SOURCE_PATH:-} ]] || wrong+=("BAQUP_SOURCE_PATH: is required")
    whole BAQUP_JOB_TIMEOUT; whole BAQUP_AGENT_HEARTBEAT_INTERVAL; whole BAQUP_BUS_GRACE_PERIOD 0
    ((${#wrong[@]} == 0))
}

# -- the bus -------------------------------------------------------------------------------

# ask COMMAND WORD... -- ...: several commands, then an answer of one line to each.
ask() {
    local word count=0 text='' part='' commands=0
    for word in "$@" --; do
        if [[ $word == -- ]]; then
            text+="*$count"$'\r\n'"$part"; count=0 part=''; commands=$((commands + 1))
        else
            part+="\$${#word}"$'\r\n'"$word"$'\r\n'; count=$((count + 1))
        fi
    done
    { printf '%s' "$text" >&3; } 2>/dev/null || { lose; return 1; }
    while ((commands--)); do
        answer=
        read -r -t 1 answer <&3 && [[ $answer != -* ]] || { lose; return 1; }
    done
}
lose() { { exec 3>&-; } 2>/dev/null; connected=; now_us; attempt_us=$((us + 300000)); }

connect() { # with a refusal of the credentials, which counts before the work begins, in refused
    [[ $connected ]] && return
    now_us; ((us >= attempt_us)) || return 1
    { exec 3<>"/dev/tcp/$host/$port"; } 2>/dev/null || { attempt_us=$((us + 300000)); return 1; }
    connected=1 answer=
    [[ ! $password ]] || ask AUTH ${user:+"$user"} "$(printf %b "${password//%/\\x}")" || { [[ $answer == -* ]] && refused=1; return 1; }
}

# compose TYPE [NAME VALUE]...: make a message, as JSON and as the fields of a hash.
compose() {
    local time value
    now; seq=$((seq + 1)); fields=() document=
    set -- type "\"$1\"" job_id "\"$job\"" timestamp "\"$time\"" agent_id "\"$agent_id\"" seq "$seq" "${@:2}"
    while (($#)); do
        document+=",\"$1\":$2" value=$2
        [[ $value == \"*\" ]] && value=${value:1:-1}
        fields+=("$1" "$value"); shift 2
    done
    document="{${document:1}}"
}
send() { ask HSET "$prefix$1" "${fields[@]}" -- EXPIRE "$prefix$1" "$2" -- PUBLISH "${prefix}notify" "$document"; }

beat() {
    local interval_us=$((${BAQUP_AGENT_HEARTBEAT_INTERVAL:-10} * 1000000))
    now_us; probed=
    ((us - due_us <= interval_us)) || due_us=$us # the first, or the first after a long pause
    ((us < due_us)) || due_us=$((due_us + interval_us))
    connect || return
    compose heartbeat state "\"$state\"" ${moved:+last_progress_at "\"$moved\""}
    send "heartbeat:$agent_id" 30 && heard=$state
}
progress() {
    connect && compose progress bytes_processed "$bytes" files_processed "$files" && send "progress:$job" 86400
}
enter() { state=$1 due_us=0; log info "now $1"; beat; }

# breathe: let a tenth of a second pass, and do what is due.
breathe() {
    read -r -t 0.1 -u "$idle" _
    now_us
    if [[ $probed || $heard != "$state" ]] || ((us >= due_us)); then
        ((us >= due_us)) && [[ $state == running ]] && progress
        beat
    fi
}

# -- the end -------------------------------------------------------------------------------

# keep: put the status where a later process finds it; said once if that cannot be done.
keep() {
    { mkdir -p "$buffer" && printf '%s\n' "$document" >"$buffer/$job.jsonl"; } 2>/dev/null && return
    [[ $unkept ]] || log warn "messages cannot be kept in BAQUP_BUS_FALLBACK_DIR"
    unkept=1
}
end() { # end CODE STATUS FILES ERROR
    local code=$1 until_us final=failed
    [[ $work ]] && kill "$work" 2>/dev/null
    compose_status "$@"; keep
    local status=("${fields[@]}") report=$document
    now_us; until_us=$((us + (code ? 2 : ${BAQUP_BUS_GRACE_PERIOD:-30}) * 1000000))
    while :; do
        fields=("${status[@]}") document=$report
        connect && send "status:$job" 86400 && { delivered=1; break; }
        now_us; ((us < until_us)) || break
        breathe
    done
    if [[ $delivered ]]; then
        rm -f "$buffer/$job.jsonl" 2>/dev/null
    else
        ((code)) || code=75
        compose_status "$code" "${@:2}"
        { mkdir -p "$dir" && printf '%s' "$document" >"$dir/.baqup-status.json"; } 2>/dev/null || log error "no orphan status"
    fi
    ((code)) || final=terminated
    enter "$final"
    log "$( ((code)) && echo error || echo info)" "the end" "{\"exit_code\":$code}"
    exit "$code"
}
compose_status() {
    local time
    now
    compose status agent '"agent-sh"' agent_version '"1.0.0"' role '"snapshot"' status "\"$2\"" exit_code "$1" \
        started_at "\"$began\"" completed_at "\"$time\"" files "$3" warnings_summary '{}' error "$4" \
        metrics "{\"duration_seconds\":$SECONDS,\"bytes_processed\":$bytes,\"files_processed\":$files}"
}
fail() { # fail CODE ERROR CATEGORY MESSAGE
    local text
    json "$4"; log error "$4"
    end "$1" failed '[]' "{\"code\":\"$2\",\"category\":\"$3\",\"retriable\":$([[ $3 == transient ]] && echo true || echo false),\"message\":$text}"
}
check() { # what may end a job before it is committed to its publication
    [[ $stop ]] && fail 1 ABORTED transient "told to stop"
    now_us; ((us < deadline_us)) || fail 1 JOB_TIMEOUT transient "the job took too long"
}

# -- the work ------------------------------------------------------------------------------

archive() { # in a process of its own
    trap - TERM INT USR1 PIPE
    local left=$((${SH_WORK_S:-0} * 10))
    while ((left-- > 0)); do printf . >>"$dir/.staging/pace"; read -r -t 0.1 -u "$idle" _; done
    exec tar -C "$BAQUP_SOURCE_PATH" -cf "$dir/.staging/data.tar" . {idle}>&- 3>&- 2>/dev/null
}
look() { # how far the archive has come
    local size=0 part time
    for part in data.tar pace; do
        [[ -f $dir/.staging/$part ]] && size=$((size + $(stat -c %s "$dir/.staging/$part")))
    done
    ((size > bytes)) && { bytes=$size; now; moved=$time; }
}
publish() {
    local size sum
    size=$(stat -c %s "$dir/.staging/data.tar") && sum=$(sha256sum <"$dir/.staging/data.tar") || return
    sum=${sum%% *} && now &&
        printf '{"version":"1.0","job_id":"%s","agent":"agent-sh","role":"snapshot","created_at":"%s","artifacts":[{"filename":"data.tar","size_bytes":%d,"checksum":{"algorithm":"sha256","value":"%s"}}]}' \
            "$job" "$time" "$size" "$sum" >"$dir/.staging/manifest.json" &&
        sync "$dir/.staging/data.tar" "$dir/.staging/manifest.json" &&
        mv "$dir/.staging/data.tar" "$dir/data.tar" && sync "$dir" &&
        mv "$dir/.staging/manifest.json" "$dir/manifest.json" && sync "$dir" && rm -rf "$dir/.staging" || return
    files_json="[{\"path\":\"data.tar\",\"size_bytes\":$size,\"checksum_sha256\":\"$sum\"}]"
}
snapshot() {
    local time us deadline_us refused=
    now; began=$time deadline_us=$((us + ${BAQUP_JOB_TIMEOUT:-3600} * 1000000))
    state=initializing; log info "now $state"
    beat
    [[ $refused ]] && { log error "the bus refuses the credentials" '{"exit_code":64}'; exit 64; }
    check
    [[ -e $dir/manifest.json ]] && fail 73 ALREADY_PUBLISHED permanent "the job is published already"
    { rm -rf "$dir" && mkdir -p "$dir/.staging"; } 2>/dev/null || fail 73 CANT_CREATE_OUTPUT transient "the staging directory cannot be made"
    enter running
    [[ -d $BAQUP_SOURCE_PATH ]] || fail 69 SOURCE_UNAVAILABLE transient "there is no directory $BAQUP_SOURCE_PATH"
    archive &
    work=$!
    while kill -0 "$work" 2>/dev/null; do check; look; breathe; done
    wait "$work" || fail 74 IO_ERROR transient "the archive cannot be written"
    work=
    rm -f "$dir/.staging/pace"; look
    files=$(find "$BAQUP_SOURCE_PATH" -type f | wc -l)
    check # the last look: from here on the job comes to its end
    enter completing
    publish 2>/dev/null || fail 74 IO_ERROR transient "the output cannot be written"
    end 0 success "$files_json" null
}

case "$#:${1:-}" in
1:--info) echo '{"agent":"agent-sh","version":"1.0.0","build":{"commit":null,"date":null},"roles":["snapshot"],"capabilities":{"compression":["none"],"checksums":["sha256"],"parallel":false},"requirements":{"min_memory":"8M","recommended_memory":"16M"}}' ;;
1:--schema) echo '{"type":"object","properties":{"BAQUP_JOB_ID":{"type":"string"},"BAQUP_STAGING_DIR":{"type":"string"},"BAQUP_BUS_URL":{"type":"string"},"BAQUP_SOURCE_PATH":{"type":"string"},"BAQUP_JOB_TIMEOUT":{"type":"integer","minimum":1,"default":3600},"BAQUP_SECRET_TOKEN":{"type":"string","writeOnly":true},"BAQUP_SECRET_TOKEN_OLD":{"type":"string","writeOnly":true}},"required":["BAQUP_JOB_ID","BAQUP_STAGING_DIR","BAQUP_BUS_URL","BAQUP_SOURCE_PATH"]}' ;;
1:--labels) printf '{"io.baqup.agent":"true","io.baqup.type":"sh","io.baqup.version":"1.0.0","io.baqup.roles":"snapshot","io.baqup.schema":"%s"}\n' "$("$0" --schema | sed 's/"/\\"/g')" ;;
1:--validate) read_configuration || { printf '%s\n' "${wrong[@]}"; exit 64; } ;;
1:snapshot)
    read_configuration || { for line in "${wrong[@]}"; do log error "$line"; done; exit 64; }
    snapshot ;;
*) log error "usage: snapshot, --info, --schema, --labels, --validate"; exit 64 ;;
esac
