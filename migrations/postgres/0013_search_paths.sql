-- Functions that run with their owner's rights look for tables in this schema, and in temporary ones last:
-- else whoever may make a temporary table could put one of the same name before it.
do $$
begin
    execute format('alter function note_object_metadata() set search_path = %I, pg_temp', current_schema());
    execute format('alter function note_tenant_change() set search_path = %I, pg_temp', current_schema());
    execute format('alter function make_partitions(timestamptz) set search_path = %I, pg_temp', current_schema());
    execute format('alter function drop_partitions(text, timestamptz) set search_path = %I, pg_temp', current_schema());
end
$$;
