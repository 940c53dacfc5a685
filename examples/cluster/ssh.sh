#!/bin/bash
# ./ssh.sh HOST...: runs train.py here, and an agent on each of these hosts, by ssh.
#
# There, the directory DIR (default: minipipe, in your home) has an environment .venv with MiniPipe
# and the packages that functors import. Hosts reach this machine by one port, which BIND names.
set -euo pipefail

folder=$(mktemp -d) # that only you can read
trap 'rm -rf "$folder"' EXIT
export TOKEN_FILE="$folder/token" BIND="${BIND:-tcp://0.0.0.0:7711}"

python train.py &
program=$!
until [ -s "$TOKEN_FILE" ]; do
    kill -0 "$program" || exit 1 # it has failed, and said why
    sleep 0.1
done

# The token goes by standard input: what stands on a command line, others can list.
for host in "$@"; do
    # shellcheck disable=SC2029 # DIR is a name here
    ssh "$host" "cd '${DIR:-minipipe}' && MINIPIPE_TOKEN=\$(cat) exec .venv/bin/minipipe agent" \
        <"$TOKEN_FILE" &
done

status=0
wait "$program" || status=$?
wait # for the agents, which end with the run
exit "$status"
