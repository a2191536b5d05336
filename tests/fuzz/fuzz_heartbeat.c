/* Any bytes: the decoder of heartbeats takes them or refuses them. */
#include <stddef.h>
#include <stdint.h>

#include "hanfs/heartbeat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heartbeat hb;

	(void)hb_decode(data, size, &hb);
	return 0;
}
