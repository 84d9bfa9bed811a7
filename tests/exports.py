"""Exports in the forms that providers have, made up."""

ANTHROPIC_USAGE = """\
usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,\
web_search_count,inference_geo,speed
2026-11-01,claude-opus-4-7-20260401,gateway,Default,standard,≤ 200k,1000,200,50,300,500,0,us,
2026-11-01,claude-opus-4-7-20260401,gateway,Default,batch,≤ 200k,10,0,0,0,5,2,us,standard
2026-11-02,claude-sonnet-4-6,laptop,Default,standard,≤ 200k,"1,000",0,0,0,7.0,0,us,fast
"""
ANTHROPIC_COST = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,inference_geo,speed
2026-11-01,Claude Opus 4.7,Default,gateway,message,≤ 200k,input_no_cache,0.05,0.05,token,global,
2026-11-01,Claude Opus 4.7,Default,gateway,message,≤ 200k,output,$1.25,1.25,token,global,
2026-11-01,Claude Opus 4.7,Default,gateway,message,≤ 200k,web_search,0.30,0.30,tool,global,
"""
OPENAI_USAGE = """\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,api_key_id,model,batch,service_tier,\
input_tokens,output_tokens,input_cached_tokens,input_audio_tokens,output_audio_tokens
1793491200,1793577600,2026-11-01T00:00:00+00:00,2026-11-02T00:00:00+00:00,proj_1,3.0,key_1,gpt-5.5-2026-04-24,False,\
default,1000,500,300,100,50
1793491200,1793577600,2026-11-01T00:00:00+00:00,2026-11-02T00:00:00+00:00,proj_1,1.0,key_2,gpt-5.5-2026-04-24,True,,10,5,0,0,0
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,,,,,,,,,,,
"""
OPENAI_COST = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id
1793491200,1793577600,2026-11-01T00:00:00+00:00,2026-11-02T00:00:00+00:00,0.0123,usd,"gpt-5.5-2026-04-24, input",proj_1
1793491200,1793577600,2026-11-01T00:00:00+00:00,2026-11-02T00:00:00+00:00,0.5,usd,"gpt-5.5-2026-04-24, cached input",p
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,,,,
"""
