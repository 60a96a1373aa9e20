#!/bin/sh
# PostgreSQL on port $PORT, open to the subnet FrontEnd. Its data are in the private /tmp of the virtual machine and go with it.
set -eu
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin:/sbin

bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
dir=${TMPDIR:-/tmp}/postgres
schema=$PWD/schema.sql

as_postgres() {
	setpriv --reuid=postgres --regid=postgres --init-groups --no-new-privs "$@"
}

# Without a database that was made to its end, start afresh.
if [ ! -e "$dir/ready" ]; then
	rm -rf "$dir"
	install -d -o postgres -g postgres -m 700 "$dir"
	cd "$dir" # where postgres may be
	as_postgres "$bin/initdb" --pgdata="$dir/data" --no-sync --locale=C --encoding=UTF8 \
		--auth-local=peer --auth-host=scram-sha-256 >/dev/null
	cat >"$dir/data/pg_hba.conf" <<-'HBA'
		local all      postgres                    peer
		host  contacts contactmanager 10.0.1.0/24  scram-sha-256
	HBA
	cat >>"$dir/data/postgresql.conf" <<-CONF
		port = $PORT
		unix_socket_directories = '$dir'
		# The data last as long as the lab.
		fsync = off
	CONF
	# Nobody can connect before the contacts are there.
	as_postgres "$bin/pg_ctl" start --wait --silent --pgdata="$dir/data" --options="-c listen_addresses=''"
	as_postgres "$bin/psql" --no-psqlrc --quiet --host="$dir" --port="$PORT" --set=ON_ERROR_STOP=1 <"$schema"
	as_postgres "$bin/pg_ctl" stop --wait --silent --pgdata="$dir/data" --mode=fast
	touch "$dir/ready"
fi

cd "$dir"
exec setpriv --reuid=postgres --regid=postgres --init-groups --no-new-privs \
	"$bin/postgres" -D "$dir/data" -c "listen_addresses=0.0.0.0"
