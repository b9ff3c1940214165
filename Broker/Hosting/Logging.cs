using Microsoft.Extensions.Logging.Console;

namespace BarBroker.Hosting;

/// <summary>Logs to standard error: with syslog levels for the journal, readable in a terminal.</summary>
internal static class Logging
{
    public static ILoggerFactory Create(LogLevel least) => LoggerFactory.Create(builder =>
    {
        builder.SetMinimumLevel(least);

        // Its own start and stop messages say nothing that ours do not.
        builder.AddFilter("Microsoft", LogLevel.Warning);

        // The journal sets this (systemd.exec(5)) where it reads our output.
        if (Environment.GetEnvironmentVariable("JOURNAL_STREAM") is not null)
        {
            builder.AddSystemdConsole();
        }
        else
        {
            builder.AddSimpleConsole(options => options.SingleLine = true);
        }

        builder.Services.Configure<ConsoleLoggerOptions>(options =>
        {
            options.LogToStandardErrorThreshold = LogLevel.Trace;

            // Whoever logs would wait for whoever reads it: with a journal that hangs, nothing could be revoked. How many lines were lost is said
            // once they are read again.
            options.QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite;
        });
    });
}
