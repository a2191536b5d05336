/* Any frame: taken apart without a look beyond its end. */
#include <stddef.h>
#include <stdint.h>

#include "detector/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f;

	if (frame_parse(FRAME_ETHERNET, data, size, 9077, &f) == HB_PASSED &&
	    (f.payload < data || f.payload + f.len > data + size))
		__builtin_trap();
	(void)frame_parse(FRAME_RAW, data, size, 9077, &f);
	return 0;
}
