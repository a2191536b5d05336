# For the steps of ./check (tests/check.d/NN-name), sourced by them.
#
# A step is an executable script. It gets TOP (the source tree) and BUILD
# (the build tree, already made) and prints a line for each thing tested:
#	ok - NAME | not ok - NAME: REASON | skip - NAME: REASON
# Everything else it prints is for people. A line "# limit: SECONDS" near its
# top bounds its time (120 s without one). On TERM it cleans up and ends.
#
#	. "$TOP/tests/check-lib.sh"
#	check_that "the thing works" command arguments
#	step_end

: "${TOP:?run through ./check}" "${BUILD:?run through ./check}"
step_failed=0
# The shell waits for the program that it runs, which cleans up for itself.
# (After exec it is that program's own business again.)
trap 'exit 143' TERM INT HUP

ok() {
	echo "ok - $1"
}

not_ok() { # NAME REASON
	echo "not ok - $1: ${2:-failed}"
	step_failed=$((step_failed + 1))
}

skip() { # NAME REASON
	echo "skip - $1: ${2:-not possible here}"
}

# check_that NAME COMMAND...: one line by the command's status; its output
# is shown only when it fails.
check_that() {
	check_name=$1
	shift
	if check_output=$("$@" 2>&1); then
		ok "$check_name"
	else
		check_status=$?
		printf '%s\n' "$check_output" | sed 's/^/    /'
		not_ok "$check_name" "$1 ended with status $check_status"
	fi
}

step_end() {
	[ "$step_failed" = 0 ]
	exit
}
