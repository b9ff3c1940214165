global using BarBroker.EndToEnd.Harness;
global using Xunit;
