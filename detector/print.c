/* print: the contract is in print.h. */
#include <inttypes.h>
#include <time.h>

#include "print.h"

const char *
print_time(uint64_t wall_us, char *buf)
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;

	if (localtime_r(&seconds, &tm) == NULL)
		tm = (struct tm){0};
	(void)snprintf(buf, PRINT_TIME_SIZE, "%02d:%02d:%02d.%06u",
	    tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100,
	    (unsigned)(wall_us % 1000000));
	return buf;
}

static const char *
network_name(const struct config *cfg, uint32_t id)
{
	int n = config_find_network_id(cfg, id);

	return n < 0 ? "?" : cfg->networks[n].name;
}

static const char *
server_name(const struct config *cfg, uint32_t id)
{
	int n = config_find_server_id(cfg, id);

	return n < 0 ? "?" : cfg->servers[n].name;
}

/* By its name, or by its number when the configuration has none for it. */
static void
print_volume(FILE *out, const struct config *cfg, const struct hb_volume *v)
{
	int n = config_find_volume_id(cfg, v->id);

	if (n < 0)
		fprintf(out, "#%" PRIu32, v->id);
	else
		fputs(cfg->volumes[n].name, out);
	fprintf(out, " %" PRIu64 " %s", v->epoch, hb_state_name(v->state));
}

static void
print_volumes(FILE *out, const struct config *cfg, const struct heartbeat *hb)
{
	unsigned i;

	for (i = 0; i < hb->nvolumes; i++) {
		fputs(i > 0 ? ", " : " ", out);
		print_volume(out, cfg, &hb->volumes[i]);
	}
	if (hb->pages > 1)
		fprintf(out, " (page %" PRIu32 " of %" PRIu32 ")", hb->page + 1,
		    hb->pages);
}

static void
print_ms(FILE *out, const char *name, uint64_t us)
{
	fprintf(out, "%s %" PRIu64 ".%02u ms", name, us / 1000,
	    (unsigned)(us % 1000 / 10));
}

void
print_heartbeat(FILE *out, const struct config *cfg, const char *ifname,
    uint64_t wall_us, const struct book_entry *e)
{
	const struct heartbeat *hb = &e->last.hb;
	char when[PRINT_TIME_SIZE];

	fprintf(out, "%s %s %s %s boot %" PRIu64 " seq %" PRIu64,
	    print_time(wall_us, when), ifname, network_name(cfg, hb->network),
	    server_name(cfg, hb->server), hb->boot, hb->sequence);
	print_volumes(out, cfg, hb);
	print_ms(out, "; jitter", e->stats.jitter_us);
	fprintf(out, ", lost %" PRIu64, e->stats.lost);
	if (e->last.lost > 0)
		fprintf(out, " (%" PRIu64 " just now)", e->last.lost);
	if (e->last.new_boot)
		fputs(", new boot", out);
	if (e->last.unicast)
		fputs(", unicast", out);
	fputc('\n', out);
}

void
print_drop(FILE *out, const char *ifname, uint64_t wall_us,
    enum hb_reason reason, const struct hanfs_addr *source)
{
	char when[PRINT_TIME_SIZE], from[ADDR_TEXT_SIZE];

	fprintf(out, "%s %s dropped: %s", print_time(wall_us, when), ifname,
	    hb_reason_name(reason));
	if (source->family != 0)
		fprintf(
		    out, ", from %s", addr_format(source, from, sizeof(from)));
	fputc('\n', out);
}

void
print_total(FILE *out, const struct config *cfg, const char *ifname,
    const struct book_entry *e)
{
	const struct stats *s = &e->stats;
	unsigned permille = stats_lost_permille(s);

	fprintf(out,
	    "%s %s %s: %" PRIu64 " heartbeats, %" PRIu64 " lost (%u.%u%%)",
	    ifname, network_name(cfg, e->last.hb.network),
	    server_name(cfg, e->server), s->count, s->lost, permille / 10,
	    permille % 10);
	print_ms(out, ", jitter", s->jitter_us);
	print_ms(out, ", worst", s->worst_us);
	fprintf(out, ", %" PRIu64 " restarts\n", s->restarts);
}
