#!/bin/bash
#SBATCH --job-name=train
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@60

# sbatch slurm.sh: the program runs on the first node of the job, an agent on each of the others.
set -euo pipefail

# The token, by which agents join: in a file that only you can read, and that all nodes see.
TOKEN_FILE="${TOKEN_DIR:-$HOME}/.minipipe-$SLURM_JOB_ID.token"
export TOKEN_FILE BIND=tcp://0.0.0.0:0 # any port that is free
trap 'rm -f "$TOKEN_FILE"' EXIT

# Agents wait for that file, and end with the run. One that is lost does not end the others.
others=$((SLURM_JOB_NUM_NODES - 1)) agents=
if ((others > 0)); then
    srun --relative=1 --nodes="$others" --ntasks="$others" --cpus-per-task="$SLURM_CPUS_PER_TASK" \
        --kill-on-bad-exit=0 minipipe agent --join "@$TOKEN_FILE" --wait 600 &
    agents=$!
fi

trap 'kill -TERM "$!"' TERM # a minute before the time is up: the program stops as by Ctrl-C
python train.py &
program=$! status=0
wait "$program" || status=$?
while kill -0 "$program" 2>/dev/null; do # that signal has ended the wait, and not the program
    wait "$program" || status=$?
done

# Who has not joined by now still waits for the run.
if [ -n "$agents" ]; then kill -TERM "$agents" 2>/dev/null || true; fi
wait
exit "$status"
