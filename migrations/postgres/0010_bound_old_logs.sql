-- The rows of `events` and `call_logs` that are there become the first partition of each (0012): up to
-- the month after the next. In a migration of its own, as is the check of what is there (0011): each
-- locks its table for a moment only.
create function first_id(at timestamptz) returns uuid language sql immutable strict as $$
    -- Ids are UUIDs of version 7: they begin with the milliseconds of their time.
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

do $do$
declare
    name text;
    latest timestamptz;
    bound timestamptz := now();
begin
    -- Beyond what is there, also where a clock was ahead.
    foreach name in array array['events', 'call_logs'] loop
        execute format(
            $$select to_timestamp(('x' || replace(left(id::text, 13), '-', ''))::bit(48)::bigint / 1000.0)
              from %I order by id desc limit 1$$, name
        ) into latest;
        bound := greatest(bound, latest);
    end loop;
    bound := (date_trunc('month', bound at time zone 'UTC') + interval '2 months') at time zone 'UTC';
    foreach name in array array['events', 'call_logs'] loop
        execute format(
            'alter table %I add constraint %I check (id < %L) not valid',
            name, name || '_until', first_id(bound)
        );
        execute format('comment on table %I is %L', name, to_char(bound at time zone 'UTC', 'YYYY_MM'));
    end loop;
end
$do$;
