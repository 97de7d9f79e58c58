-- `events` and `call_logs` by month: what is too old goes as a whole, in a moment, and leaves no holes.
-- The months are told by the ids, which begin with their time, so the key stays what it was.
--
-- A default partition takes what belongs to no month, so that no clock can make a write fail.

do $$
declare
    name text;
    until text;
    service record;
begin
    foreach name in array array['events', 'call_logs'] loop
        until := obj_description(name::regclass, 'pg_class');
        execute format('comment on table %I is null', name);
        execute format('alter table %I rename to %I', name, name || '_until_' || until);
        execute format(
            'alter index %I rename to %I', name || '_pkey', name || '_until_' || until || '_pkey'
        );
    end loop;

    create table events (
        tenant_id uuid not null,
        id uuid not null,
        environment text not null,
        type text not null,
        object_id uuid not null,
        object_version bigint not null,
        data text not null,
        created_at timestamptz not null,
        constraint events_pkey primary key (tenant_id, id),
        constraint events_environment_check check (environment in ('test', 'live'))
    ) partition by range (id);

    create table call_logs (
        tenant_id uuid not null,
        id uuid not null,
        environment text not null,
        api_key_id uuid,
        method text not null,
        route text not null,
        status bigint not null,
        duration_us bigint not null,
        object_id uuid,
        provider text,
        code text,
        created_at timestamptz not null,
        constraint call_logs_pkey primary key (tenant_id, id),
        constraint call_logs_environment_check check (environment in ('test', 'live'))
    ) partition by range (id);

    foreach name in array array['events', 'call_logs'] loop
        execute format(
            'alter table %I attach partition %I for values from (minvalue) to (%L)',
            name, name || '_until_' || until,
            first_id(to_date(until, 'YYYY_MM')::timestamp at time zone 'UTC')
        );
        execute format(
            'alter table %I drop constraint %I', name || '_until_' || until, name || '_until'
        );
        execute format('create table %I partition of %I default', name || '_default', name);
        execute format('alter table %I enable row level security', name || '_default');
        execute format('alter table %I force row level security', name || '_default');
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy tenant on %I
             using (tenant_id = nullif(current_setting(''onerouter.tenant'', true), '''')::uuid)',
            name
        );
        -- Whoever serves goes on without a break.
        for service in
            select grantee, privilege_type from information_schema.role_table_grants
            where table_schema = current_schema() and table_name = name || '_until_' || until
                and grantee not in (current_user, 'PUBLIC')
        loop
            execute format('grant %s on %I to %I', service.privilege_type, name, service.grantee);
            execute format(
                'revoke %s on %I from %I',
                service.privilege_type, name || '_until_' || until, service.grantee
            );
        end loop;
    end loop;
end
$$;

-- Makes the partitions of the months up to a time, where they are not there yet. With the owner's
-- rights: the service owns nothing. Tells how many it has made.
create function make_partitions(until timestamptz) returns bigint language plpgsql
security definer set search_path from current set lock_timeout = '500ms' as $$
declare
    parent text;
    first timestamp;
    month timestamp;
    name text;
    made bigint := 0;
begin
    -- One node at a time; the others find it done.
    if not pg_try_advisory_xact_lock(hashtext('onerouter.partitions')) then
        return 0;
    end if;
    foreach parent in array array['events', 'call_logs'] loop
        -- Where the partition of what was there before ends, if it is still there.
        select to_date(right(relname, 7), 'YYYY_MM')::timestamp into first
        from pg_inherits join pg_class on pg_class.oid = inhrelid
        where inhparent = parent::regclass and relname like parent || '\_until\_%';
        month := greatest(
            coalesce(first, '-infinity'), date_trunc('month', now() at time zone 'UTC')
        );
        -- Whatever clock asks for it, a year of them is enough.
        while month <= least(until, now() + interval '13 months') at time zone 'UTC' loop
            name := parent || '_' || to_char(month, 'YYYY_MM');
            if to_regclass(name) is null then
                begin
                    execute format('create table %I (like %I including all)', name, parent);
                    execute format('alter table %I enable row level security', name);
                    execute format('alter table %I force row level security', name);
                    -- What came before its month was made.
                    execute format(
                        'with moved as (delete from %I where id >= %L and id < %L returning *)
                         insert into %I select * from moved',
                        parent || '_default', first_id(month at time zone 'UTC'),
                        first_id((month + interval '1 month') at time zone 'UTC'), name
                    );
                    execute format(
                        'alter table %I attach partition %I for values from (%L) to (%L)',
                        parent, name, first_id(month at time zone 'UTC'),
                        first_id((month + interval '1 month') at time zone 'UTC')
                    );
                    made := made + 1;
                exception
                    when check_violation or lock_not_available or query_canceled then
                        raise warning '% was busy: % is made later', parent, name;
                end;
            end if;
            month := month + interval '1 month';
        end loop;
    end loop;
    return made;
end
$$;

-- Drops the oldest partition of one table whose month ended before a time, and never what is younger
-- than a week: one at a time, since everybody waits for it. Tells how many it has dropped.
create function drop_partitions(parent text, before timestamptz) returns bigint language plpgsql
security definer set search_path from current set lock_timeout = '500ms' as $$
declare
    name text;
    month timestamp;
    bound timestamp := least(before, now() - interval '7 days') at time zone 'UTC';
    dropped bigint := 0;
begin
    if parent not in ('events', 'call_logs') then
        raise exception 'no such log: %', parent using errcode = 'undefined_table';
    end if;
    if not pg_try_advisory_xact_lock(hashtext('onerouter.partitions')) then
        return 0;
    end if;
    for name in
        select relname from pg_inherits join pg_class on pg_class.oid = inhrelid
        where inhparent = parent::regclass and relname ~ '_[0-9]{4}_[0-9]{2}$'
        order by relname
    loop
        month := to_date(right(name, 7), 'YYYY_MM')::timestamp;
        -- Of a month, or of everything until one.
        if name not like parent || '\_until\_%' then
            month := month + interval '1 month';
        end if;
        continue when month > bound;
        begin
            execute format('drop table %I', name);
            dropped := 1;
        exception
            when lock_not_available then
                raise warning '% was busy: % is dropped later', parent, name;
        end;
        exit;
    end loop;
    -- What belongs to no month.
    execute format(
        'delete from %I where id < %L', parent || '_default', first_id(bound at time zone 'UTC')
    );
    return dropped;
end
$$;

revoke execute on function make_partitions(timestamptz), drop_partitions(text, timestamptz)
from public;

select make_partitions(now() + interval '3 months');
