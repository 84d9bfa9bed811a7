-- Which check an outcome of source 'check' is from; empty for all other sources. Of one request, model, source and check, the
-- last one is the opinion in force.
ALTER TABLE outcomes ADD COLUMN "check" TEXT NOT NULL DEFAULT '';
